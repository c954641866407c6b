/** Normalizes a member's rewards: members count alike in their mean, and PPO sees the same scale in every task. */
import type { Experience } from '../segments.ts';
import type { RewardOptions } from './options.ts';

/**
 * The number subtracted from a member's rewards, and the one they are divided by.
 * @param rewards The member's rewards of all steps in the experience.
 * @param first The member's rewards of the steps whose mean is subtracted with `zero-at-first`.
 */
export function normalization(
  rewards: Float32Array,
  first: Float32Array | undefined,
  experience: Experience,
  discount: number,
  options: Pick<RewardOptions, 'normalize' | 'scaleBy' | 'deviation'>,
): [shift: number, divisor: number] {
  const shift = options.normalize === 'scale' ? 0 : meanOf(first ?? rewards);
  const spread =
    options.scaleBy === 'rms'
      ? Math.sqrt(rewards.reduce((a, b) => a + (b - shift) ** 2, 0) / rewards.length)
      : returnDeviation(rewards, shift, experience, discount);
  return [shift, Math.max(spread, 1e-6) / options.deviation];
}

const meanOf = (x: Float32Array): number => x.reduce((a, b) => a + b, 0) / x.length;

/** Deviation of the discounted return over each environment's steps, in order. */
function returnDeviation(rewards: Float32Array, shift: number, experience: Experience, discount: number): number {
  const { count, held, oldest, terminated, truncated } = experience;
  let [sum, squares, n] = [0, 0, 0];
  for (let e = 0; e < count; e++) {
    let running = 0;
    for (let t = 0; t < held; t++) {
      const i = ((oldest + t) % held) * count + e;
      running = running * discount + rewards[i] - shift;
      sum += running;
      squares += running * running;
      n++;
      if (terminated[i] || truncated[i]) running = 0;
    }
  }
  return Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
}
