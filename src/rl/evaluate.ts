/** How well a policy does on the true reward: whole episodes from seeds that training never used. */
import { type Environment, sizeOf } from '../env/index.ts';
import type { Arena } from '../nn/index.ts';
import { random, seedFor } from '../random.ts';
import { createForward } from './forward.ts';
import { greedyActions, LOG_DEVIATION, type Policy, sampleActions } from './policy.ts';

export interface Evaluation {
  mean: number;
  /** Standard deviation over the episodes. */
  std: number;
  episodes: number;
  /** Mean steps of an episode. */
  length: number;
  returns: number[];
}

export interface Evaluator {
  run(): Evaluation;
  release(): void;
}

/** Runs `episodes` episodes side by side. `prepare` maps observations to what the policy sees (normalisation). */
export function createEvaluator(
  makeEnvironment: () => Environment,
  policy: Policy,
  parameters: Arena,
  options: { episodes?: number; seed: number; greedy?: boolean; prepare?: (rows: Float32Array) => Float32Array },
): Evaluator {
  const { episodes = 100, seed, greedy = true, prepare = (rows) => rows } = options;
  const environments = Array.from({ length: episodes }, makeEnvironment);
  const size = sizeOf(environments[0].observationSpace);
  const forward = createForward(policy, parameters, episodes);
  const observations = new Float32Array(episodes * size);
  const views = environments.map((_, i) => observations.subarray(i * size, (i + 1) * size));
  const actions = new Float32Array(episodes * policy.actionSize);
  const actionViews = environments.map((_, i) => actions.subarray(i * policy.actionSize, (i + 1) * policy.actionSize));

  function run(): Evaluation {
    const rng = random(seed, 'evaluation', 'actions');
    const returns = new Array<number>(episodes).fill(0);
    environments.forEach((environment, i) => {
      environment.reset(seedFor(seed, 'evaluation', i), views[i]);
    });
    let live = environments.map((_, i) => i);
    let steps = 0;
    while (live.length > 0) {
      forward.observations.set(prepare(observations));
      forward.run();
      if (greedy) greedyActions(policy, forward.distribution, actions);
      else sampleActions(policy, forward.distribution, parameters.values[LOG_DEVIATION]?.data, rng, actions);
      steps += live.length;
      live = live.filter((i) => {
        const { reward, terminated, truncated } = environments[i].step(actionViews[i], views[i]);
        returns[i] += reward;
        return !terminated && !truncated;
      });
    }
    return { ...meanAndDeviation(returns), episodes, length: steps / episodes, returns };
  }
  return { run, release: forward.release };
}

export function meanAndDeviation(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) };
}
