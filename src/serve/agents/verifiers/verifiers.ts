/**
 * Environments of the Python package `verifiers` (Prime Intellect's), in the user's own Python:
 * `--env 'verifiers:wordle?seed=1'`. The package plays each episode itself, with the policy as its model: it calls OpenAI's
 * API at an endpoint of the episode, as agents do, so that an environment may have any turns, tools and judges. Its rubric
 * is the reward.
 */
import type { AgentTasks, EnvironmentSourceOptions } from '../../../align/agents/environment.ts';
import { HeedError } from '../../../error.ts';
import { parsedJson } from '../../../parsed-json.ts';
import { solvedTasks } from '../agent-tasks.ts';
import { createVerifiersWorker, type VerifiersLimits } from './worker.ts';

/** Options of `openVerifiers`. */
export interface VerifiersOptions extends Partial<EnvironmentSourceOptions> {
  /** Python with the package (default: `HEED_PYTHON`, or python3). */
  python?: string;
  /** Time limits of its process, if they differ from the defaults. */
  limits?: VerifiersLimits;
}

/**
 * Opens an environment by the id that `verifiers.load_environment` takes, or the path of a .py file that defines
 * `load_environment`, with arguments after a `?`. Its tasks are those of the environment's dataset; its evaluation set is
 * held out. The environment runs until the training's player of episodes is disposed of.
 *
 * @throws HeedError if Python, the package or the environment is missing, or tasks are named besides.
 */
export async function openVerifiers(source: string, options: VerifiersOptions = {}): Promise<AgentTasks> {
  const name = `verifiers:${source}`;
  if (options.tasks) {
    throw new HeedError(`--tasks does not go together with --env ${name}, which has tasks of its own.`, {
      hint: "Leave out --tasks; arguments of the environment's load_environment go after a ?, such as verifiers:ID?seed=1.",
    });
  }
  const python = options.python ?? process.env.HEED_PYTHON ?? 'python3';
  const worker = createVerifiersWorker(python, orderOf(source), options.limits);
  const { tasks, heldOut } = await worker.ready();
  return solvedTasks(
    { name, tasks, heldOut: heldOut.length > 0 ? heldOut : undefined, needsOutcome: options.needsReward },
    ({ turns }) => ({
      who: 'environment',
      ready: worker.ready,
      solve: (run) => worker.play(run, turns),
      [Symbol.dispose]: worker[Symbol.dispose],
    }),
  );
}

/** The id and the arguments of a name such as `wordle?seed=1&words=["a","b"]`: JSON where they are that, otherwise text. */
function orderOf(source: string) {
  const [id, query = ''] = source.split(/\?(.*)/s);
  const given = [...new URLSearchParams(query)].map(([key, text]) => {
    const value = parsedJson(text);
    return [key, value === undefined ? text : value];
  });
  return { id, arguments: Object.fromEntries(given) as Record<string, unknown> };
}
