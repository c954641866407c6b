/**
 * The EPIC distance of two rewards (Gleave et al. 2021, "Quantifying Differences in Reward Functions"). It is 0 for
 * rewards that differ in scale and in potential shaping, which change no best policy, and 1 for opposite ones.
 */
import type { LearnedStepReward } from '../rl/agent.ts';
import { pearson } from './correlation.ts';

/** Steps side by side. */
export type Steps = Parameters<LearnedStepReward['scoreAll']>[0];

/** Actions, [n, a], and observations that any of them may lead to, [n, o]. */
export interface Continuations {
  actions: Float32Array;
  observations: Float32Array;
}

/**
 * √((1 − ρ)/2), where ρ is Pearson's r of the canonical rewards of the steps:
 *
 *     C(s, a, s') = R(s, a, s') + γ·V(s') − V(s),   V(x) = mean of R(x, A, S') over the continuations
 *
 * The paper's third mean is the same for all steps, so it drops out of ρ. NaN where a canonical reward is constant.
 *
 * @param size Numbers in an observation.
 */
export function epicDistance(
  [first, second]: readonly [LearnedStepReward, LearnedStepReward],
  steps: Steps,
  continuations: Continuations,
  { size, discount }: { size: number; discount: number },
): number {
  const canonical = (reward: LearnedStepReward): Float64Array => {
    const scores = reward.scoreAll(steps);
    const [before, after] = [steps.observations, steps.nextObservations].map((states) =>
      expectedRewards(reward, states, continuations, size),
    );
    return Float64Array.from(scores, (score, i) => score + discount * after[i] - before[i]);
  };
  return Math.sqrt(Math.max(0, (1 - pearson(canonical(first), canonical(second))) / 2));
}

/** For each state [n, o], the mean reward of the continuations from it. */
function expectedRewards(
  reward: LearnedStepReward,
  states: Float32Array,
  { actions, observations }: Continuations,
  size: number,
): Float64Array {
  const count = observations.length / size;
  return Float64Array.from({ length: states.length / size }, (_, i) => {
    const state = states.subarray(i * size, (i + 1) * size);
    const from = new Float32Array(count * size);
    for (let k = 0; k < count; k++) from.set(state, k * size);
    const scores = reward.scoreAll({
      observations: from,
      actions,
      nextObservations: observations,
      terminated: new Uint8Array(count),
    });
    return scores.reduce((sum, score) => sum + score / count, 0);
  });
}
