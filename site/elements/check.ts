/** Checks an exercise in a worker, and ends the worker if the exercise never ends. */
import type { CheckResult } from '../../src/course/run-checks.ts';
import type { Lesson } from './lessons.ts';

/** What the worker starts with. */
export interface CheckJob {
  /** The lesson's name. */
  lesson: string;
  /** The text of the exercise. */
  exercise: string;
  /** The texts of the lesson's files by name: check.ts and what it imports. */
  files: Record<string, string>;
}

/**
 * What the worker sends: the name of the check that begins, the seconds that all may take, and the result if they take
 * longer; all results; or why there are none.
 */
export type CheckMessage =
  | { starts: string; seconds: number; endless: CheckResult }
  | { results: CheckResult[] }
  | { failure: string };

/** Checks under way. */
export interface RunningChecks {
  /** The results up to the first check that fails. */
  results: Promise<CheckResult[]>;
  /** Ends the worker; the results then never come. */
  stop(): void;
}

/** Starts the checks of a lesson on the text of an exercise. Rejects only if the page itself fails. */
export function startChecks(lesson: Lesson, exercise: string): RunningChecks {
  const worker = new Worker(new URL('./check-worker.ts', import.meta.url), { type: 'module' });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    clearTimeout(timer);
    worker.terminate();
  };
  const results = new Promise<CheckResult[]>((resolve, reject) => {
    const ended: CheckResult[] = [];
    let endless: CheckResult | undefined; // of the check that runs
    worker.addEventListener('message', ({ data }: MessageEvent<CheckMessage>) => {
      if ('results' in data) return resolve(data.results);
      if ('failure' in data) return reject(new Error(data.failure));
      if (endless) ended.push({ name: endless.name, ok: true });
      endless = data.endless;
      // what the worker loads before its first check does not count
      timer ??= setTimeout(() => resolve([...ended, endless!]), 1000 * data.seconds);
    });
    worker.addEventListener('error', ({ message }) => reject(new Error(message || 'The checks could not be loaded.')));
    lesson
      .readChecks()
      .then((files) => worker.postMessage({ lesson: lesson.name, exercise, files } satisfies CheckJob), reject);
  });
  return { results: results.finally(stop), stop };
}
