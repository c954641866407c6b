/**
 * Trains an agent that exists already. For each episode, its program is started with a base URL of OpenAI's API behind
 * which the policy writes; its calls become the episode's tokens, and the outcome that it sends becomes the reward:
 *
 *     const env = agentTasks({ agent: './my-agent.js', tasks: [{ question: '6 · 7', answer: '42' }] });
 *     await grpo({ model: 'Qwen/Qwen3-0.6B', env });
 *
 * The command does the same: heed grpo --agent ./my-agent.js --tasks tasks.jsonl
 */
import { availableParallelism } from 'node:os';
import type {
  AgentTasks,
  EnvironmentSourceOptions,
  EpisodePolicy,
  PlayedEpisode,
} from '../../align/agents/environment.ts';
import type { Row } from '../../data/row.ts';
import { HeedError, messageOf } from '../../error.ts';
import { createAgentEndpoint } from './endpoint.ts';
import { type AgentRun, runProgram, wordsOf } from './program.ts';
import type { AgentSession } from './session.ts';

/**
 * An agent in this process: it solves the task with the policy as its model, and returns its reward, a number, if it
 * knows it; or a promise of it.
 */
export type AgentFunction = (run: AgentRun) => unknown;

/** What `agentTasks` is made of. */
export interface AgentTasksOptions {
  /**
   * A program: a .js or .ts file, or a command with `{columns}` of the task; or a function. A program finds its endpoint
   * in `OPENAI_BASE_URL`, and its task in its arguments, on stdin and in `HEED_TASK`.
   */
  agent: string | AgentFunction;
  /** Tasks to train on: objects with any columns. */
  tasks: readonly Row[];
  /** Tasks for evaluations (default: those to train on). */
  heldOut?: readonly Row[];
  /** The model's name that calls have to use; others are refused. By default every name is the policy. */
  modelName?: string;
  /** Whether an episode without an outcome fails (default: true); false if a reward judges what the agent prints. */
  needsOutcome?: boolean;
  /** Called with failures of the endpoint itself. */
  onNotice?: (text: string) => void;
}

/** How often an episode is checked for an agent that hangs, in milliseconds. */
const CHECK = 100;
/** How often an episode begins anew before it counts as failed. */
const MOST_REPLAYS = 2;
/** Programs at once per core. */
const PER_CORE = 4;

/** Tasks that an agent solves. @throws HeedError if the agent is neither a function nor a command. */
export function agentTasks(options: AgentTasksOptions): AgentTasks {
  const { agent } = options;
  const words = typeof agent === 'string' ? wordsOf(agent) : undefined;
  const name = typeof agent === 'string' ? agent : agent.name || 'agent';
  const solveByFunction = async (run: AgentRun): Promise<AgentEnd> => {
    const aborted = new Promise<never>((_, reject) => {
      run.signal.addEventListener('abort', () => reject(run.signal.reason), { once: true });
    });
    try {
      const reward = await Promise.race([(agent as AgentFunction)(run), aborted]);
      if (reward === undefined || Number.isFinite(reward)) return { reward: reward as number | undefined };
      return { failure: `expected a finite number from the agent, got ${String(reward)}` };
    } catch (error) {
      run.signal.throwIfAborted();
      return { failure: messageOf(error) };
    }
  };
  return solvedTasks({ ...options, name }, () => ({
    who: 'agent',
    ...(words && { atOnce: PER_CORE * availableParallelism() }),
    solve: words ? (run) => runProgram(words, run) : solveByFunction,
  }));
}

/** What solves the tasks of a training, by calls of the policy as its model. */
export interface Solver {
  /** What it is, in errors: an agent or an environment. */
  who: string;
  /** The most episodes that it solves at once (default: as many as the options allow). */
  atOnce?: number;
  /** Resolves when it can solve a task; its time is not the episode's. @throws HeedError if no episode can begin. */
  ready?(): Promise<unknown>;
  /** Solves a task. What goes wrong is the end's `failure`; rejects with the signal's reason when it aborts. */
  solve(run: AgentRun): Promise<AgentEnd>;
  /** Frees what it holds. */
  [Symbol.dispose]?(): void;
}

/** Tasks that a solver solves: it is made with each player of episodes. */
export function solvedTasks(
  options: Omit<AgentTasksOptions, 'agent'> & { name: string },
  createSolver: (policy: EpisodePolicy) => Solver,
): AgentTasks {
  const { name, tasks, heldOut, modelName, needsOutcome = true, onNotice } = options;
  return {
    name,
    tasks,
    heldOut,
    player(policy) {
      const endpoint = createAgentEndpoint(policy, { modelName, onNotice });
      const solver = createSolver(policy);
      const { who, atOnce } = solver;
      const playOnce = async (task: Row, seed: number, signal: AbortSignal) => {
        await solver.ready?.();
        const { session, baseUrl, close } = await endpoint.open(seed);
        const watch = watchdog(session, who, policy, signal);
        try {
          let end: AgentEnd;
          try {
            end = await solver.solve({ task, baseUrl, episode: session.id, signal: watch.signal });
          } catch (error) {
            signal.throwIfAborted();
            if (!watch.signal.aborted) throw error;
            // with an outcome, it only did not end
            end = session.outcome === undefined ? { failure: messageOf(watch.signal.reason) } : {};
          }
          signal.throwIfAborted();
          return { episode: episodeOf(session, task, end, who, needsOutcome), again: end.again };
        } finally {
          watch.end();
          await close();
        }
      };
      return {
        ...(atOnce !== undefined && { atOnce }),
        async play(task, seed, signal) {
          for (let replays = 0; ; replays++) {
            const { episode, again } = await playOnce(task, seed, signal);
            if (!again || replays === MOST_REPLAYS) return episode;
          }
        },
        [Symbol.dispose]() {
          endpoint[Symbol.dispose]();
          solver[Symbol.dispose]?.();
        },
      };
    },
  };
}

/** Opens what `--agent` names. @throws HeedError without tasks. */
export async function openAgentTasks(
  agent: string,
  { tasks, heldOut, needsReward }: EnvironmentSourceOptions,
): Promise<AgentTasks> {
  if (tasks) return agentTasks({ agent, tasks: tasks.rows, heldOut, needsOutcome: needsReward });
  throw new HeedError('--agent has no tasks.', {
    hint: 'Name a file with a row for each task: --tasks tasks.jsonl',
  });
}

/** How an agent ended. */
export interface AgentEnd {
  /** Its reward, if it knows it. */
  reward?: number;
  /** The parts of its reward, by name. */
  parts?: Readonly<Record<string, number>>;
  /** Calls of tools that failed (default: 0). */
  faultyCalls?: number;
  /** What it printed. */
  output?: string;
  /** Why it failed. */
  failure?: string;
  /** Whether it failed by no fault of the task, which can be solved anew. */
  again?: boolean;
}

/** Aborts an episode whose agent does nothing for too long, and with the outer signal. */
function watchdog(session: AgentSession, who: string, { seconds }: EpisodePolicy, outer: AbortSignal) {
  const late = new AbortController();
  const timer = setInterval(
    () => {
      if (session.idleSeconds() <= seconds) return;
      const calls = session.counts.turns === 0 ? ' and had not called its model' : '';
      late.abort(new HeedError(`the ${who} took more than ${seconds} s without a call of its model${calls}`));
    },
    Math.min(CHECK, seconds * 250),
  );
  return { signal: AbortSignal.any([outer, late.signal]), end: () => clearInterval(timer) };
}

/** The episode that a session was. */
function episodeOf(
  session: AgentSession,
  task: Row,
  { reward, parts, faultyCalls = 0, output, failure }: AgentEnd,
  who: string,
  needsOutcome: boolean,
): PlayedEpisode {
  const { counts, texts, promptText } = session;
  const [first = { prompt: [], response: [], given: [], logProbs: [] }, ...others] = session.sequences();
  const outcome = reward ?? session.outcome;
  const refusal =
    counts.refusal === undefined ? '' : `; ${counts.refused} of its requests were refused: ${counts.refusal}`;
  let why = failure;
  if (counts.turns === 0) why ??= `the ${who} ended without a call of its model`;
  else if (needsOutcome && outcome === undefined) why ??= `the ${who} ended without an outcome`;
  return {
    completion: {
      prompt: first.prompt,
      response: first.response,
      given: first.given,
      ...(others.length > 0 && {
        branches: others.map(({ prompt, response, given }) => ({ prompt, response, given })),
      }),
      ended: why === undefined,
      promptText,
      text: texts.join('\n'),
      row: task,
      episode: {
        reward: outcome ?? 0,
        turns: counts.turns,
        calls: counts.calls + counts.refused,
        faultyCalls: counts.refused + faultyCalls,
        messages: session.messages,
        ...(why !== undefined && { failure: why + refusal }),
        ...(output !== undefined && { output }),
        ...(parts !== undefined && { parts }),
      },
    },
    logProbs: Float32Array.from([first, ...others].flatMap(({ logProbs }) => logProbs)),
  };
}
