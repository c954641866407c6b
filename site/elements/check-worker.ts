/** Runs the checks of a lesson in a worker of the page, which check.ts ends when they never end. */
import { importedModules } from '../../src/course/load.ts';
import { endless, runChecks, secondsFor } from '../../src/course/run-checks.ts';
import type { CheckJob, CheckMessage } from './check.ts';
import { loadModules } from './modules.ts';

const send = (message: CheckMessage) => postMessage(message);

addEventListener('message', async ({ data }: MessageEvent<CheckJob>) => {
  const { lesson, exercise, files } = data;
  const seconds = secondsFor(lesson);
  const onStart = (name: string) => send({ starts: name, seconds, endless: endless(name, seconds) });
  try {
    const modules = await loadModules(importedModules({ ...files, exercise }));
    send({ results: await runChecks({ exercise, files, modules, onStart }) });
  } catch (error) {
    send({ failure: error instanceof Error ? error.message : String(error) });
  }
});
