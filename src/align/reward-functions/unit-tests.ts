/**
 * Unit tests as a reward: 1 if the program in a completion passes the tests in its prompt's row, else 0. Both run together
 * in a sandbox (sandbox.ts).
 *
 *     const data = [{ prompt: 'Write add(a, b).', tests: 'assert.equal(add(2, 3), 5)' }, …];
 *     await grpo({ model, data, reward: passesTests() });
 */
import { HeedError } from '../../error.ts';
import { availableParallelism, randomBytes } from '../../node.ts';
import { severally } from '../training/requests.ts';
import type { RewardFunction } from './call.ts';
import { type Completion, columnAt } from './reward-function.ts';
import { runSandboxed, type SandboxEnd, type SandboxOptions, type SandboxResult } from './sandbox.ts';

/**
 * What came of a program: it passed, or why not. `unfinished`: it ended before the tests did, such as by `process.exit(0)`;
 * `empty`: the completion has no program; else how the process ended.
 */
export type TestOutcome = 'passed' | 'unfinished' | 'empty' | Exclude<SandboxEnd, 'exit'>;

/** What `passesTests` runs. */
export interface TestOptions extends SandboxOptions {
  /** The column of a prompt's row with the source of its tests. Default: `tests`. */
  field?: string;
  /** Programs that run at once. Default: as many as there are cores. */
  atOnce?: number;
  /** Is told of each program: for logs, or for a reward of your own. */
  onResult?: (outcome: TestOutcome, completion: Completion, result: SandboxResult | undefined) => void;
}

/** A reward that counts outcomes. */
export interface TestReward extends RewardFunction {
  /** How often each outcome occurred so far. */
  readonly outcomes: Readonly<Partial<Record<TestOutcome, number>>>;
}

/**
 * The program in a completion passes its row's tests: 1, else 0. The program is the completion's last fenced block of code,
 * or its whole text. The tests follow it in the same file; one fails by throwing. JavaScript has `assert` of
 * `node:assert/strict`, Python its statement.
 *
 * Program and tests share a process: one that replaces `assert`, or reads its own file, can pass what it should not.
 *
 * @throws HeedError, when called, if a row has no tests, or the machine lacks the isolation that the options demand.
 */
export function passesTests({ field = 'tests', atOnce, onResult, ...sandbox }: TestOptions = {}): TestReward {
  const outcomes: Partial<Record<TestOutcome, number>> = {};
  const one = async (completion: Completion, signal: AbortSignal): Promise<number> => {
    const tests = testsOf(completion, field);
    const program = programIn(completion.text);
    let [outcome, result]: [TestOutcome, SandboxResult | undefined] = ['empty', undefined];
    if (program.trim() !== '') {
      const mark = `passed:${randomBytes(16).toString('hex')}`;
      result = await runSandboxed(withTests(program, tests, mark, sandbox.language), sandbox, signal);
      outcome = result.stdout.trimEnd().endsWith(mark) ? 'passed' : 'unfinished';
      if (result.end !== 'exit') outcome = result.end;
    }
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    onResult?.(outcome, completion, result);
    return Number(outcome === 'passed');
  };
  const reward: RewardFunction = async (completions, signal) => {
    const scores = new Array<number>(completions.length);
    await severally(completions.length, atOnce ?? availableParallelism(), signal, async (i, either) => {
      scores[i] = await one(completions[i], either);
    });
    return scores;
  };
  return Object.assign(reward, { outcomes });
}

/** The last fenced block of a text, or the text. */
export const programIn = (text: string): string =>
  text
    .match(/```[\w+-]*\n[\s\S]*?(?:```|$)/g)
    ?.at(-1)
    ?.replace(/^```.*\n|```$/g, '') ?? text;

/** What tests and programs expect to be there, in either kind of module; a program may declare the same names. */
const GLOBALS =
  "import $assert from 'node:assert/strict'; import { createRequire as $require } from 'node:module'; " +
  'Object.assign(globalThis, { assert: $assert, require: $require(import.meta.url), module: { exports: {} }, exports: {} });';

/** The program, then its tests, then a mark that differs each time: no constant text passes. */
const withTests = (program: string, tests: string, mark: string, language: TestOptions['language']): string =>
  language === 'python'
    ? `${program}\n\n${tests}\n\nprint("\\n${mark}")\n`
    : `${GLOBALS}\n${program}\n;\n${tests}\n;console.log('\\n${mark}');\n`;

function testsOf({ row, promptText }: Completion, field: string): string {
  const tests = columnAt(row, field);
  if (typeof tests === 'string' && tests.trim() !== '') return tests;
  const got = tests === undefined ? 'there is none' : `got ${JSON.stringify(tests).slice(0, 60)}`;
  throw new HeedError(`The row of "${promptText.slice(0, 80)}" needs tests as text in its column "${field}": ${got}.`, {
    hint: 'For example: { prompt: …, tests: "assert.equal(add(2, 3), 5)" }, or name the column: { field: … }.',
  });
}
