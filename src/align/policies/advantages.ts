/**
 * Advantages of answers over others to the same prompt, without a critic: what REINFORCE, RLOO and GRPO weigh log-probabilities by.
 * Rewards come group after group: `size` answers to one prompt, then those to the next.
 */

import { createRegistry } from '../../registry.ts';

/** Added to deviations that are divided by: where all answers are worth the same, there is nothing to learn. */
const EPSILON = 1e-4;

/** What a group's advantages are divided by: the deviation within it, that of the whole batch, or nothing. */
export const scales = ['group', 'batch', 'none'] as const;
export type Scale = (typeof scales)[number];

/**
 * Estimates the advantage of each completion, [completions], from its reward. Rewards come group by group: `size`
 * completions of one prompt, then those of the next.
 */
export type AdvantageEstimator = (
  rewards: ArrayLike<number>,
  options: { readonly size: number; readonly scale: Scale },
) => ArrayLike<number>;

/** The estimators that heed has: see `groupAdvantages`, `leaveOneOut`, `lessMean`. */
export type AdvantageName = 'group' | 'leave-one-out' | 'mean';

/** Estimators of advantages by name: `advantages` of `grpo` and `baseline` of `reinforce` take those that a plugin adds. */
export const advantageEstimators = createRegistry<AdvantageEstimator, AdvantageName>('advantage estimator', {
  group: (rewards, { size, scale }) => groupAdvantages(rewards, size, scale),
  'leave-one-out': (rewards, { size }) => leaveOneOut(rewards, size),
  mean: (rewards) => lessMean(rewards),
});

/** A = r − mean of the step's rewards. */
export function lessMean(rewards: ArrayLike<number>): Float64Array {
  const middle = mean(rewards);
  return Float64Array.from(rewards, (reward) => reward - middle);
}

/**
 * A = (r − mean of the group) / deviation (Shao et al. 2024, DeepSeekMath, §4.1.2). Without the division, answers to prompts
 * of all difficulties weigh the same (Liu et al. 2025, Dr. GRPO, §3.2).
 */
export function groupAdvantages(rewards: ArrayLike<number>, size: number, scale: Scale = 'group'): Float64Array {
  const ofBatch = deviation(rewards);
  return perGroup(rewards, size, (group) => {
    const middle = mean(group);
    const by = scale === 'none' ? 1 : (scale === 'batch' ? ofBatch : deviation(group)) + EPSILON;
    return group.map((reward) => (reward - middle) / by);
  });
}

/** A = r − mean of the other answers' rewards: an unbiased baseline (Kool et al. 2019; Ahmadian et al. 2024, RLOO, §3.3). */
export function leaveOneOut(rewards: ArrayLike<number>, size: number): Float64Array {
  return perGroup(rewards, size, (group) => {
    const total = group.reduce((a, b) => a + b, 0);
    return group.map((reward) => reward - (total - reward) / (size - 1));
  });
}

/** Several rewards, each brought to one scale within groups before they are added up, and the sums over the batch (GDPO). */
export function normalizeThenSum(
  rewards: readonly ArrayLike<number>[],
  weights: readonly number[],
  size: number,
): Float64Array {
  const sums = new Float64Array(rewards[0].length);
  for (const [which, weight] of weights.entries()) {
    for (const [i, value] of groupAdvantages(rewards[which], size).entries()) sums[i] += weight * value;
  }
  return standardize(sums);
}

/** Mean 0 and deviation 1 over the batch. */
export function standardize(values: ArrayLike<number>): Float64Array {
  const [middle, by] = [mean(values), deviation(values) + EPSILON];
  return Float64Array.from(values, (value) => (value - middle) / by);
}

function perGroup(rewards: ArrayLike<number>, size: number, of: (group: number[]) => number[]): Float64Array {
  const advantages = new Float64Array(rewards.length);
  for (let i = 0; i < rewards.length; i += size) {
    advantages.set(of(Array.prototype.slice.call(rewards, i, i + size)), i);
  }
  return advantages;
}

export function mean(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total / values.length;
}

/** Of a sample (n − 1); 0 of a single value. */
export function deviation(values: ArrayLike<number>): number {
  const middle = mean(values);
  let total = 0;
  for (let i = 0; i < values.length; i++) total += (values[i] - middle) ** 2;
  return Math.sqrt(total / Math.max(1, values.length - 1));
}
