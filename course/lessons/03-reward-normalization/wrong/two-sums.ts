// says: Adding 1,000,000,000 to 0, 1, 2 must not change the deviation of 0.816: yours is
import type { Statistics } from '../exercise.ts';

// squares is the sum of squares, and the deviation a difference of two huge numbers
export const update = ({ count, mean, squares }: Statistics, reward: number): Statistics => ({
  count: count + 1,
  mean: mean + (reward - mean) / (count + 1),
  squares: squares + reward * reward,
});

export const deviation = ({ count, mean, squares }: Statistics): number =>
  count === 0 ? 0 : Math.sqrt(Math.max(0, squares / count - mean * mean));

export const normalize = (statistics: Statistics, reward: number): number =>
  deviation(statistics) === 0 ? 0 : (reward - statistics.mean) / deviation(statistics);
