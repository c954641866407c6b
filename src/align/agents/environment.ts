/**
 * Language environments: tasks that a policy solves by talking and by calling tools, over several turns. One is a plain
 * object, as an environment of control is:
 *
 *     export const tasks = [{ number: 7 }, { number: 42 }];
 *     export default () => {
 *       let secret;
 *       return {
 *         reset(task) {
 *           secret = task.number;
 *           return [{ role: 'user', content: 'Guess my number, from 1 to 50.' }];
 *         },
 *         step({ text }) {
 *           const guess = Number(text);
 *           if (guess === secret) return { reward: 1, done: true };
 *           return { messages: [{ role: 'user', content: guess < secret ? 'higher' : 'lower' }] };
 *         },
 *       };
 *     };
 *
 * The function makes an environment for each episode, and many episodes run at once.
 */
import type { Row } from '../../data/row.ts';
import { HeedError } from '../../error.ts';
import { importFile } from '../../files.ts';
import type { ChatMessage } from '../../lm/chat-template.ts';
import type { ToolCall, ToolSchema } from '../../lm/tool-calls.ts';

/** A turn of the policy. */
export interface PolicyTurn {
  /** What it wrote, without special tokens, and without the calls of tools. */
  readonly text: string;
  /** The tools that it calls, if the environment has any. */
  readonly calls: readonly ToolCall[];
  /** Whether it ended its turn; otherwise the turn was cut at the most tokens. */
  readonly ended: boolean;
}

/** What follows a turn. */
export interface TurnResult {
  /** Messages for the policy's next turn, such as a user's reply or the results of tools. None after the last turn. */
  messages?: readonly ChatMessage[];
  /** Reward of the turn (default: 0). The score of an episode is the sum over its turns. */
  reward?: number;
  /** Whether the episode is over (default: false). */
  done?: boolean;
  /** Calls of the turn that failed, for the metrics (default: 0). */
  faultyCalls?: number;
}

/** An environment of one episode. */
export interface LanguageEnvironment {
  /** Tools that the chat template shows to the policy. */
  readonly tools?: readonly ToolSchema[];
  /**
   * Begins an episode with a task, and returns the messages before the policy's first turn.
   *
   * @param seed Differs from episode to episode, and is the same in a repeated run.
   * @param signal Aborts when the episode takes too long, or training stops.
   */
  reset(task: Row, seed: number, signal: AbortSignal): readonly ChatMessage[] | Promise<readonly ChatMessage[]>;
  /** Takes a turn of the policy. */
  step(turn: PolicyTurn, signal: AbortSignal): TurnResult | Promise<TurnResult>;
  /** Frees what the episode holds. */
  [Symbol.dispose]?(): void;
}

/** A language environment with its tasks. */
export interface LanguageTasks {
  /** Its name, for a run's name and for errors. */
  readonly name: string;
  /** Makes the environment of an episode. */
  make(): LanguageEnvironment;
  /** Tasks to train on; `reset` gets one of them. */
  readonly tasks: readonly Row[];
  /** Tasks for evaluations (default: those to train on). */
  readonly heldOut?: readonly Row[];
}

/**
 * Opens the environment in a file, which exports a function as default, `tasks` and, if it has any, `heldOut`.
 *
 * @throws HeedError if the file cannot be loaded, or lacks one of them.
 */
export async function openLanguageTasks(path: string): Promise<LanguageTasks> {
  const { default: make, tasks, heldOut } = await importFile(path, 'The environment');
  return checkedTasks({ name: path, make, tasks, heldOut } as LanguageTasks);
}

/** Checks an environment and its tasks. @throws HeedError that names what is wrong. */
export function checkedTasks(given: LanguageTasks): LanguageTasks {
  const { name, make, tasks, heldOut } = given;
  const wrong = (message: string, hint: string) => new HeedError(`The environment "${name}" ${message}.`, { hint });
  if (typeof make !== 'function') {
    throw wrong(`exports no function: got ${typeof make} as default`, 'export default () => ({ reset, step })');
  }
  for (const [what, rows] of Object.entries({ tasks, heldOut })) {
    if (what === 'heldOut' && rows === undefined) continue;
    const isList =
      Array.isArray(rows) && rows.length > 0 && rows.every((row) => typeof row === 'object' && row !== null);
    if (!isList) {
      throw wrong(
        `has no ${what}: expected a list of objects, got ${JSON.stringify(rows)?.slice(0, 60)}`,
        `export const ${what} = [{ question: '2 + 2', answer: 4 }]`,
      );
    }
  }
  return given;
}
