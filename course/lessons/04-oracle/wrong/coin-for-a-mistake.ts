// says: With mistake 0.1, one judgment in ten is turned around: yours is 0.95
import type { Faults, Preference } from '../exercise.ts';

export function judge(
  first: readonly number[],
  second: readonly number[],
  { rationality = Number.POSITIVE_INFINITY, mistake = 0, discount = 1, tieWithin = 0 }: Faults,
  draw: () => number,
): Preference {
  const worth = (rewards: readonly number[]) => rewards.reduce((sum, reward) => discount * sum + reward, 0);
  const difference = worth(first) - worth(second);
  if (Math.abs(difference) <= tieWithin) return [0.5, 0.5];
  if (draw() < mistake) return draw() < 0.5 ? [1, 0] : [0, 1];
  return draw() < 1 / (1 + Math.exp(-rationality * difference)) ? [1, 0] : [0, 1];
}
