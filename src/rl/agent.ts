/** An agent of any algorithm: it takes some steps and learns from them, again and again. */
import { z } from 'zod';
import type { VectorEnvironment } from '../env/batch/vector.ts';
import type { Box, Space } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import type { Arena } from '../nn/parameters.ts';
import type { TrainParts } from '../run/drive.ts';
import { createA2cInParts } from './a2c.ts';
import { a2cSchema } from './a2c-options.ts';
import type { OnPolicy } from './on-policy.ts';
import type { ActingPolicy } from './policy.ts';
import { createPpoInParts } from './ppo.ts';
import { recurrentPpoSchema } from './ppo-options.ts';
import type { Rollout } from './rollout.ts';
import { createSacInParts, type Sac } from './sac.ts';
import { type SacOptions, sacSchema } from './sac-options.ts';
import { createTrpoInParts } from './trpo.ts';
import { trpoSchema } from './trpo-options.ts';

/** The algorithms that learn from rewards, by name. */
export const rlAlgorithms = ['ppo', 'a2c', 'trpo', 'sac'] as const;
/** The name of an algorithm. */
export type Algorithm = (typeof rlAlgorithms)[number];

/** Options of the algorithms. Only those of the chosen one apply. */
export const algorithmShape = {
  policy: z
    .enum(['perceptron', 'recurrent'])
    .default('perceptron')
    .describe('what acts: a network of the current observation, or with PPO one that remembers the episode (a GRU)'),
  algorithm: z.enum(rlAlgorithms).default('ppo').describe('how the agent learns'),
  ppo: recurrentPpoSchema.optional(),
  a2c: a2cSchema.optional(),
  trpo: trpoSchema.optional(),
  sac: sacSchema.optional(),
};
type AlgorithmOptions = z.infer<z.ZodObject<typeof algorithmShape>>;

/** An algorithm, as training uses it. */
export interface Agent {
  policy: ActingPolicy;
  parameters: Arena;
  /** Observations in the form that the networks see, for rows [n, o]. */
  prepare?(observations: Float32Array): Float32Array;
  /** Acts from step `from` on and learns. Returns the step it reached and its row of metrics. */
  advance(from: number): Promise<{ step: number; metrics: Record<string, number> }>;
  save(): { state: unknown; tensors: Tensors };
  restore(state: unknown, tensors: unknown): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}
type Tensors = Parameters<TrainParts<never>['run']['saveCheckpoint']>[1]['tensors'];

/** Scores steps in place of the environment's rewards, as a learned reward does. */
export interface LearnedStepReward {
  /** Observations that it scores. */
  readonly observationSpace: Box;
  /** Actions that it scores. */
  readonly actionSpace: Space;
  /** The reward of each step. */
  scoreAll(steps: Pick<Rollout, 'observations' | 'actions' | 'nextObservations' | 'terminated'>): Float32Array;
}

/** How long training lasts, and what it learns from. */
interface Course {
  steps: number;
  /** A rollout with the rewards to learn from. */
  rewarded(rollout: Rollout): Rollout;
}

/** The settings of the chosen algorithm, from checked options. */
export const algorithmSettings = ({ algorithm, ...options }: AlgorithmOptions) => options[algorithm]!;

/**
 * Creates an agent of the chosen algorithm, in parts, in environments that have been reset. It learns from `reward`, if
 * set.
 */
export function* createAgent(
  options: AlgorithmOptions & { steps: number; seed: number },
  environment: VectorEnvironment,
  reward?: LearnedStepReward,
): Generator<void, Agent> {
  const { algorithm, seed, steps } = options;
  const rewarded = (rollout: Rollout): Rollout =>
    reward ? { ...rollout, rewards: reward.scoreAll(rollout) } : rollout;
  const recurrent = options.policy === 'recurrent' ? options.ppo : undefined;
  if (algorithm === 'sac')
    return offPolicy(yield* createSacInParts(environment, options.sac!, seed), options.sac!, { steps, rewarded });
  if (algorithm === 'a2c')
    return onPolicy(yield* createA2cInParts(environment, options.a2c!, seed), options.a2c!, { steps, rewarded });
  if (algorithm === 'trpo')
    return onPolicy(yield* createTrpoInParts(environment, options.trpo!, seed), options.trpo!, { steps, rewarded });
  return onPolicy(yield* createPpoInParts(environment, options.ppo!, seed, recurrent), options.ppo!, {
    steps,
    rewarded,
  });
}

/**
 * One rollout and one update at a time; several if rollouts are short, so that a row of metrics covers enough steps.
 */
function onPolicy<Metrics extends object>(
  agent: OnPolicy<Metrics>,
  { environments, horizon }: { environments: number; horizon: number },
  { steps, rewarded }: Course,
): Agent {
  const batch = environments * horizon;
  return {
    ...agent,
    advance: (from) =>
      repeat(from, steps, async (step) => {
        const rollout = rewarded(await agent.collect());
        return { step: step + batch, metrics: await agent.update(rollout, (step + batch) / steps) };
      }),
    restore: (state, tensors) => agent.restore(state as never, tensors as never),
  };
}

function offPolicy(agent: Sac, options: SacOptions, { steps, rewarded }: Course): Agent {
  const batch = options.environments * options.horizon;
  return {
    ...agent,
    advance: (from) =>
      repeat(from, steps, async (step) => {
        const exploring = step < options.learningStarts;
        const rollout = rewarded(await agent.collect(exploring ? 'uniform' : undefined));
        if (!exploring) return { step: step + batch, metrics: await agent.update(rollout) };
        agent.remember(rollout);
        return { step: step + batch };
      }),
    restore: (state, tensors) => agent.restore(state as never, tensors as never),
  };
}

const ROW = 200; // minimum of environment steps in a row of metrics

/** Repeats until a row is full or all steps are done. Metrics are means over the updates that report them. */
export async function repeat(
  from: number,
  steps: number,
  once: (step: number) => Promise<{ step: number; metrics?: object }>,
): ReturnType<Agent['advance']> {
  const totals: Record<string, number> = {};
  let updates = 0;
  let step = from;
  do {
    const next = await once(step);
    step = next.step;
    if (!next.metrics) continue;
    updates++;
    for (const [name, value] of Object.entries(next.metrics)) totals[name] = (totals[name] ?? 0) + value;
  } while (step < Math.min(from + ROW, steps));
  return { step, metrics: Object.fromEntries(Object.entries(totals).map(([name, sum]) => [name, sum / updates])) };
}

/** Checks algorithm options. @throws HeedError if there are options of an algorithm other than the chosen one. */
export function checkChoice<Name extends string = Algorithm>(
  options: { algorithm?: Name } & Partial<Record<Name, unknown>>,
  names: readonly Name[] = rlAlgorithms as readonly string[] as readonly Name[],
): void {
  const { algorithm = 'ppo' } = options;
  const other = names.find((name) => name !== algorithm && options[name] !== undefined);
  if (!other) return;
  throw new HeedError(`settings of ${other} are set, but the algorithm is ${algorithm}`, {
    hint: `use --algorithm ${other}, or leave out --${other}.…`,
  });
}
