// says: One reward deviates from itself by 0: yours is 4.
import type { Statistics } from '../exercise.ts';

export const update = ({ count, mean, squares }: Statistics, reward: number): Statistics => ({
  count: count + 1,
  mean: mean + (reward - mean) / (count + 1),
  squares: squares + (reward - mean) ** 2,
});

export const deviation = ({ count, squares }: Statistics): number => (count === 0 ? 0 : Math.sqrt(squares / count));

export const normalize = (statistics: Statistics, reward: number): number =>
  deviation(statistics) === 0 ? 0 : (reward - statistics.mean) / deviation(statistics);
