/** Evaluates a policy on the true reward: whole episodes from seeds that training never uses. */

import type { EnvironmentBatch } from '../env/batch/batch.ts';
import type { Arena } from '../nn/parameters.ts';
import { breathe, turnIsDue } from '../node.ts';
import { random, seedFor } from '../random.ts';
import { createForward } from './forward.ts';
import { type ActingPolicy, greedyActions, LOG_DEVIATION, sampleActions } from './policy.ts';

/** The returns of full episodes. */
export interface Evaluation {
  /** Mean return of an episode. */
  mean: number;
  /** Standard deviation over the episodes. */
  std: number;
  /** Episodes run. */
  episodes: number;
  /** Mean steps of an episode. */
  length: number;
  /** Return of each episode. */
  returns: number[];
}

/** Evaluates a policy repeatedly, as it learns. */
export interface Evaluator {
  /** Runs the episodes with the policy's current parameters. */
  run(): Promise<Evaluation>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/**
 * Runs an episode in each copy of a batch, which it takes ownership of. `prepare` maps observations to the policy's
 * inputs (normalization).
 */
export function createEvaluator(
  batch: EnvironmentBatch,
  policy: ActingPolicy,
  parameters: Arena,
  options: { seed: number; greedy?: boolean; prepare?: (rows: Float32Array) => Float32Array },
): Evaluator {
  const { seed, greedy = true, prepare = (rows) => rows } = options;
  const { count: episodes, observations, rewards, terminated, truncated } = batch;
  const forward = createForward(policy, parameters, episodes);
  const actions = new Float32Array(episodes * policy.actionSize);
  const seeds = Array.from({ length: episodes }, (_, i) => seedFor(seed, 'evaluation', i));
  const once = new Array<number>(episodes).fill(-1);

  async function run(): Promise<Evaluation> {
    const rng = random(seed, 'evaluation', 'actions');
    const returns = new Array<number>(episodes).fill(0);
    batch.reset(seeds);
    forward.begin();
    let live = returns.map((_, i) => i);
    let steps = 0;
    while (live.length > 0) {
      if (turnIsDue()) await breathe();
      forward.observations.set(prepare(observations));
      forward.run();
      if (greedy) greedyActions(policy, forward.distribution, actions);
      else sampleActions(policy, forward.distribution, parameters.values[LOG_DEVIATION]?.data, rng, actions);
      batch.step(actions, once);
      steps += live.length;
      for (const i of live) returns[i] += rewards[i];
      live = live.filter((i) => !terminated[i] && !truncated[i]);
    }
    return { ...meanAndDeviation(returns), episodes, length: steps / episodes, returns };
  }
  return {
    run,
    [Symbol.dispose]() {
      forward[Symbol.dispose]();
      batch[Symbol.dispose]();
    },
  };
}

/** Mean and standard deviation (over n) of values. */
export function meanAndDeviation(values: ArrayLike<number>): { mean: number; std: number } {
  let [mean, squares] = [0, 0];
  for (let i = 0; i < values.length; i++) mean += values[i] / values.length;
  for (let i = 0; i < values.length; i++) squares += (values[i] - mean) ** 2;
  return { mean, std: Math.sqrt(squares / values.length) };
}
