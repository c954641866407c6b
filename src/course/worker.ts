/** The worker of thread.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { importedModules } from './load.ts';
import { loadModules } from './modules.ts';
import { runChecks } from './run-checks.ts';
import type { CheckJob, CheckMessage } from './thread.ts';

const { exercise, files } = workerData as CheckJob;
const send = (message: CheckMessage) => parentPort!.postMessage(message);
const modules = await loadModules(importedModules({ ...files, exercise }));
send({ results: await runChecks({ exercise, files, modules, onStart: (starts) => send({ starts }) }) });
