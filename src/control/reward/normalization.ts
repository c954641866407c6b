/** Normalizes a member's rewards: members count alike in their mean, and PPO sees the same scale in every task. */
import { meanAndDeviation } from '../../rl/evaluate.ts';
import { mean as meanOf } from '../../run/intervals.ts';
import type { Experience } from '../segments.ts';
import type { RewardOptions } from './options.ts';

/** How a member's rewards are normalized. */
export interface Normalization {
  /** The number that is subtracted from them. */
  shift: number;
  /** The number that they are divided by then. */
  divisor: number;
  /** Whether ends paid, and other steps did not, when there last were ends in the experience. */
  endsPay: boolean;
}

/**
 * The normalization of a member by its rewards of all steps in the experience.
 * @param first The member's rewards of the steps whose mean is subtracted with `zero-at-first`.
 * @param endsPaid What was found before: decides if the experience has no ends.
 */
export function normalization(
  rewards: Float32Array,
  { first, endsPaid }: { first?: Float32Array; endsPaid: boolean },
  experience: Experience,
  discount: number,
  options: Pick<RewardOptions, 'normalize' | 'livingReward' | 'scaleBy' | 'deviation'>,
): Normalization {
  const level = options.normalize === 'scale' ? 0 : meanOf(first ?? rewards);
  const { latest, endsPay = endsPaid } = options.livingReward === 'keep' ? {} : livingReward(rewards, experience);
  const removed = latest !== undefined && (options.livingReward === 'remove' || endsPay);
  // Without a price on time, a policy earns more by waiting where the learned reward is a little too high, such as
  // beside a goal, than by arriving; and then there are no more arrivals to compare: docs/lab/strangers.md.
  const shift = level + (removed ? Math.max(0, latest - level) : 0);
  const spread =
    options.scaleBy === 'rms'
      ? Math.sqrt(rewards.reduce((a, b) => a + (b - shift) ** 2, 0) / rewards.length)
      : returnDeviation(rewards, shift, experience, discount);
  return { shift, divisor: Math.max(spread, 1e-6) / options.deviation, endsPay };
}

const LATEST = 0.25; // share of the experience that shows what the policy does now
const MORE = 2; // deviations by which ends earn more than other steps where they pay

/**
 * What the latest steps that end nothing earn on average, and whether ends pay: they earn clearly more, and other steps
 * do not earn steadily, as they do where lasting is the task (a balanced pole). Undefined where the experience has no
 * such steps, or no ends.
 */
function livingReward(rewards: Float32Array, { count, held, oldest, terminated }: Experience) {
  const [ends, others, latest]: number[][] = [[], [], []];
  for (let t = 0; t < held; t++) {
    for (let e = 0; e < count; e++) {
      const i = ((oldest + t) % held) * count + e;
      (terminated[i] ? ends : others).push(rewards[i]);
      if (!terminated[i] && t >= held * (1 - LATEST)) latest.push(rewards[i]);
    }
  }
  const { mean, std } = meanAndDeviation(others);
  return {
    latest: latest.length > 0 ? meanOf(latest) : undefined,
    endsPay: ends.length > 0 ? mean < std && meanOf(ends) > mean + MORE * std : undefined,
  };
}

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
