/** Runs the checks of a lesson in a worker of the page, which check.ts ends when they never end. */
import { importedModules } from '../../src/course/load.ts';
import { runChecks } from '../../src/course/run-checks.ts';
import type { CheckJob, CheckMessage } from './check.ts';
import { loadModules } from './modules.ts';

const send = (message: CheckMessage) => postMessage(message);

addEventListener('message', async ({ data }: MessageEvent<CheckJob>) => {
  const { exercise, files } = data;
  try {
    const modules = await loadModules(importedModules({ ...files, exercise }));
    send({ results: await runChecks({ exercise, files, modules, onStart: (starts) => send({ starts }) }) });
  } catch (error) {
    send({ failure: error instanceof Error ? error.message : String(error) });
  }
});
