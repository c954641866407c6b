/**
 * Advantages of completions over others of the same prompt, without a critic: REINFORCE, RLOO and GRPO weight
 * log-probabilities by them. Rewards come group after group: `size` completions of one prompt, then those of the next.
 */

import { createRegistry } from '../../registry.ts';
import { mean } from '../../run/intervals.ts';

/** Added to deviations before dividing by them: groups of equal rewards get advantages of 0. */
const EPSILON = 1e-4;

/** What advantages are divided by: the standard deviation within the group, that of the whole batch, or nothing. */
export const scales = ['group', 'batch', 'none'] as const;
/** One of `scales`. */
export type Scale = (typeof scales)[number];

/**
 * Estimates the advantage of each completion, [completions], from its reward. Rewards come group by group: `size`
 * completions of one prompt, then those of the next.
 */
export type AdvantageEstimator = (
  rewards: ArrayLike<number>,
  options: { readonly size: number; readonly scale: Scale },
) => ArrayLike<number>;

/** Built-in estimators: `groupAdvantages`, `leaveOneOut` and `lessMean`. */
export type AdvantageName = 'group' | 'leave-one-out' | 'mean';

/** Advantage estimators by name, for `advantages` of `grpo` and `baseline` of `reinforce`. Plugins add to them. */
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
 * A = (r − mean of the group) / deviation (Shao et al. 2024, DeepSeekMath, §4.1.2). Without the division, easy and hard
 * prompts weigh the same (Liu et al. 2025, Dr. GRPO, §3.2).
 *
 * @param rewards Of each completion, group after group: [groups × size].
 * @param size Completions of each prompt.
 * @returns The advantage of each completion: [groups × size].
 */
export function groupAdvantages(rewards: ArrayLike<number>, size: number, scale: Scale = 'group'): Float64Array {
  const ofBatch = deviation(rewards);
  return perGroup(rewards, size, (group) => {
    const middle = mean(group);
    const by = scale === 'none' ? 1 : (scale === 'batch' ? ofBatch : deviation(group)) + EPSILON;
    return group.map((reward) => (reward - middle) / by);
  });
}

/**
 * A = r − mean reward of the other completions of the prompt, an unbiased baseline (Kool et al. 2019; Ahmadian et al.
 * 2024, RLOO, §3.3). Takes and gives [groups × size].
 */
export function leaveOneOut(rewards: ArrayLike<number>, size: number): Float64Array {
  return perGroup(rewards, size, (group) => {
    const total = group.reduce((a, b) => a + b, 0);
    return group.map((reward) => reward - (total - reward) / (size - 1));
  });
}

/**
 * Advantages by several rewards (GDPO): each reward is normalized within groups, the weighted sum over the batch.
 *
 * @param rewards Of each part: [parts][groups × size].
 * @param weights Of each part: [parts].
 * @returns The advantage of each completion: [groups × size].
 */
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

/** Shifts and scales numbers to mean 0 and standard deviation 1. */
export function standardize(values: ArrayLike<number>): Float64Array {
  const [middle, by] = [mean(values), deviation(values) + EPSILON];
  return Float64Array.from(values, (value) => (value - middle) / by);
}

function perGroup(rewards: ArrayLike<number>, size: number, advantagesOf: (group: number[]) => number[]): Float64Array {
  const advantages = new Float64Array(rewards.length);
  for (let i = 0; i < rewards.length; i += size) {
    advantages.set(advantagesOf(Array.prototype.slice.call(rewards, i, i + size)), i);
  }
  return advantages;
}

/** The standard deviation of a sample (divided by n − 1); 0 for a single value. */
export function deviation(values: ArrayLike<number>): number {
  const middle = mean(values);
  let total = 0;
  for (let i = 0; i < values.length; i++) total += (values[i] - middle) ** 2;
  return Math.sqrt(total / Math.max(1, values.length - 1));
}
