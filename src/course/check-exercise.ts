/**
 * Checks an exercise in a process of its own. Whatever the exercise does, this process stays: a loop that never ends is
 * ended, and memory that runs out takes only the other process along, which a thread would not guarantee.
 */
import { fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { givenFiles, type Lesson } from './lessons.ts';
import { type CheckResult, endless, OVERTIME, secondsFor } from './run-checks.ts';

/** What the other process is sent. */
export interface CheckJob {
  /** The text of the exercise. */
  exercise: string;
  /** The texts of the lesson's files that the checks need. */
  files: Record<string, string>;
  /** Most seconds that the checks may compute. */
  seconds: number;
}

/** What it sends back: the name of the check that begins, or all results. */
export type CheckMessage = { starts: string } | { results: CheckResult[] };

/** How many times the seconds that it may compute an exercise may take altogether. */
const IDLE = 12;

/** The most memory that an exercise may take, in MiB. */
const MOST_MEMORY = 512;

/**
 * Runs the checks of a lesson on the text of an exercise. Whatever is wrong with the text is in the results. What the
 * exercise prints goes to stderr.
 */
export function checkExercise(lesson: Lesson, exercise: string): Promise<CheckResult[]> {
  const seconds = secondsFor(lesson.name);
  const child = fork(fileURLToPath(new URL(`./check-child${extname(import.meta.url)}`, import.meta.url)), {
    execArgv: [`--max-old-space-size=${MOST_MEMORY}`],
    stdio: ['ignore', 2, 'pipe', 'ipc'],
  });
  let printed = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
    if (text.includes(OVERTIME)) tooLong?.();
  });
  let tooLong: (() => void) | undefined;
  return new Promise((resolve, reject) => {
    const passed: CheckResult[] = [];
    let running: string | undefined;
    let timer: NodeJS.Timeout | undefined;
    const end = (results: CheckResult[]) => {
      clearTimeout(timer);
      resolve(results);
      child.kill('SIGKILL');
    };
    child.on('message', (message: CheckMessage) => {
      if ('results' in message) {
        process.stderr.write(printed);
        return end(message.results);
      }
      if (running !== undefined) passed.push({ name: running, ok: true });
      running = message.starts;
      tooLong = () => end([...passed, endless(running!, seconds)]);
      timer ??= setTimeout(tooLong, 1000 * IDLE * seconds); // for what waits instead of computing
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (running === undefined) return reject(new Error(`the process that checks ended with ${code}: ${printed}`));
      const message = /out of memory/.test(printed)
        ? `It takes more than ${MOST_MEMORY} MiB of memory: is there a list that never stops growing?`
        : 'It ended the program in the middle of a check: does it call process.exit?';
      end([...passed, { name: running, ok: false, message }]);
    });
    child.send({
      exercise,
      files: { ...givenFiles(lesson), 'check.ts': lesson.files['check.ts'] },
      seconds,
    } satisfies CheckJob);
  });
}
