/** Runs the checks of a lesson on an exercise: the same code in a page and in Node. */
import { messageOf } from '../error.ts';
import * as kit from './kit.ts';
import { CompileError, createLoader, type Exports, lineOf } from './load.ts';

/** What a check comes to. */
export interface CheckResult {
  /** The check's name. */
  name: string;
  /** Whether it passes. */
  ok: boolean;
  /** What is wrong, in one sentence. */
  message?: string;
  /** The line of the exercise that it is about, from 1, where it is known. */
  line?: number;
}

/** What runChecks runs. */
export interface ChecksInput {
  /** The text of the exercise. */
  exercise: string;
  /** The texts of the lesson's files by name: `check.ts`, and what it and the exercise import. */
  files: Readonly<Record<string, string>>;
  /** The modules that these files import from heed by name, such as `heed/nn`; `heed/course` is there already. */
  modules?: Readonly<Record<string, Exports>>;
  /** Called before a check runs. */
  onStart?(name: string): void;
}

const FILE = 'exercise.ts';
const LOADING = 'the file compiles';

/** Most seconds that the checks of a lesson may take: one lesson trains an agent. */
export const secondsFor = (lesson: string): number => (lesson.startsWith('05-') ? 60 : 5);

/** What the process of an exercise says when it has computed for too long. */
export const OVERTIME = '\0too long';

/** What is wrong with an exercise that did not end. */
export const endless = (name: string, seconds: number): CheckResult => ({
  name,
  ok: false,
  message: `It did not end within ${seconds} s: is there a loop that never stops?`,
});

/**
 * Runs the checks in order and stops at the first that fails. A text that does not compile, throws or gives a wrong
 * type is a result too.
 */
export async function runChecks({ exercise, files, modules = {}, onStart }: ChecksInput): Promise<CheckResult[]> {
  const load = createLoader({
    files: { ...files, [FILE]: exercise },
    modules: { ...modules, 'heed/course': { ...kit } },
  });
  const results: CheckResult[] = [];
  onStart?.(LOADING);
  const list = load('check.ts').default as kit.Check<Exports>[];
  let exports: Exports;
  try {
    exports = load(FILE);
    results.push({ name: LOADING, ok: true });
  } catch (error) {
    return [{ name: LOADING, ok: false, ...fault(error, exercise, 'The file') }];
  }
  for (const { name, run } of list) {
    onStart?.(name);
    try {
      await run(kit.watched(exports));
      results.push({ name, ok: true });
    } catch (error) {
      results.push({ name, ok: false, ...fault(error, exercise) });
      break;
    }
  }
  return results;
}

/** What an error says of the exercise, and where. */
function fault(error: unknown, exercise: string, call = kit.describeCall()): { message: string; line?: number } {
  if (error instanceof kit.CheckFailure) return { message: error.message, line: lineOfFunction(error.about, exercise) };
  if (error instanceof CompileError) return { message: `It does not compile: ${error.message}.`, line: error.line };
  const line = lineOf(error, FILE);
  const message = messageOf(error);
  if (message === 'write me') return { message: 'This is still to be written.', line };
  if (line === undefined) return { message: `${call} gives what nobody can use: ${message}.` };
  return { message: `${call} throws "${message}".`, line };
}

/** The line on which a function of the exercise is declared. */
function lineOfFunction(name: string | undefined, exercise: string): number | undefined {
  if (name === undefined) return undefined;
  const at = exercise
    .split('\n')
    .findIndex((line) => new RegExp(`\\b(function\\*?|const|let)\\s+${name}\\b`).test(line));
  return at < 0 ? undefined : at + 1;
}
