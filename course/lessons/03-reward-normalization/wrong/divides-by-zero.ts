// says: gives NaN: a finite number is expected.
import type { Statistics } from '../exercise.ts';

export function update({ count, mean, squares }: Statistics, reward: number): Statistics {
  const next = mean + (reward - mean) / (count + 1);
  return { count: count + 1, mean: next, squares: squares + (reward - mean) * (reward - next) };
}

export const deviation = ({ count, squares }: Statistics): number => Math.sqrt(squares / Math.max(1, count));

export const normalize = (statistics: Statistics, reward: number): number =>
  (reward - statistics.mean) / deviation(statistics);
