/** The process that check-exercise.ts starts. */
import type { CheckJob, CheckMessage } from './check-exercise.ts';
import { importedModules } from './load.ts';
import { loadModules } from './modules.ts';
import { runChecks } from './run-checks.ts';

const send = (message: CheckMessage) => process.send!(message);

process.once('message', async ({ exercise, files }: CheckJob) => {
  const modules = await loadModules(importedModules({ ...files, exercise }));
  send({ results: await runChecks({ exercise, files, modules, onStart: (starts) => send({ starts }) }) });
});
