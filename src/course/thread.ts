/** Checks an exercise on a thread of its own, which is ended if the exercise never ends. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { HeedError } from '../error.ts';
import { givenFiles, type Lesson } from './lessons.ts';
import { type CheckResult, endless, secondsFor } from './run-checks.ts';

/** What the thread starts with. */
export interface CheckJob {
  /** The text of the exercise. */
  exercise: string;
  /** The texts of the lesson's files that the checks need. */
  files: Record<string, string>;
}

/** What the thread sends: the name of the check that begins, or all results. */
export type CheckMessage = { starts: string } | { results: CheckResult[] };

/** The most memory that an exercise may take, in MiB. */
const MOST_MEMORY = 1024;

/** Runs the checks of a lesson on the text of an exercise. Whatever is wrong with the text is in the results. */
export function checkExercise(lesson: Lesson, exercise: string): Promise<CheckResult[]> {
  const seconds = secondsFor(lesson.name);
  const job: CheckJob = { exercise, files: { ...givenFiles(lesson), 'check.ts': lesson.files['check.ts'] } };
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: job,
      resourceLimits: { maxOldGenerationSizeMb: MOST_MEMORY },
    });
    const passed: CheckResult[] = [];
    let running: string | undefined;
    let timer: NodeJS.Timeout | undefined;
    const end = (results: CheckResult[]) => {
      clearTimeout(timer);
      resolve(results);
      void worker.terminate();
    };
    worker.on('message', (message: CheckMessage) => {
      if ('results' in message) return end(message.results);
      if (running !== undefined) passed.push({ name: running, ok: true });
      // the time for loading the engine does not count
      timer ??= setTimeout(() => end([...passed, endless(running!, seconds)]), 1000 * seconds);
      running = message.starts;
    });
    worker.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ERR_WORKER_OUT_OF_MEMORY' || running === undefined) return reject(error);
      const message = `It takes more than ${MOST_MEMORY} MiB of memory: is there a list that never stops growing?`;
      end([...passed, { name: running, ok: false, message }]);
    });
    worker.once('exit', (code) => {
      if (running === undefined) return reject(new HeedError(`the thread that checks ended with code ${code}`));
      const message = 'It left the check without an end: does it wait for something that never happens?';
      end([...passed, { name: running, ok: false, message }]);
    });
  });
}
