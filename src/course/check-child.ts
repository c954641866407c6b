/** The process that check-exercise.ts starts. */
import { Worker } from 'node:worker_threads';
import type { CheckJob, CheckMessage } from './check-exercise.ts';
import { importedModules } from './load.ts';
import { loadModules } from './modules.ts';
import { OVERTIME, runChecks } from './run-checks.ts';

const send = (message: CheckMessage) => process.send!(message);

/** Seconds between two looks at the time that the process has taken. */
const LOOKS = 0.1;

/**
 * Says on stderr that the exercise takes too long, once the process has computed for so many seconds. That is the work of
 * a thread, since the exercise may be a loop. It counts the processor's time: a busy machine makes no exercise endless.
 */
function watch(seconds: number): void {
  const code = `
    const { workerData } = require('node:worker_threads');
    const computed = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e6; };
    const began = computed();
    setInterval(() => {
      if (computed() - began > workerData.seconds) require('node:fs').writeSync(2, workerData.text);
    }, ${1000 * LOOKS});`;
  new Worker(code, { eval: true, workerData: { seconds, text: OVERTIME } }).unref();
}

process.once('message', async ({ exercise, files, seconds }: CheckJob) => {
  const modules = await loadModules(importedModules({ ...files, exercise }));
  watch(seconds); // the time for loading the engine does not count
  send({ results: await runChecks({ exercise, files, modules, onStart: (starts) => send({ starts }) }) });
});
