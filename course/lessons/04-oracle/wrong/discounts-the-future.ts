// says: With γ = 0.5, an early 3 weighs 1.5, less than a late 2: yours is 1 at index 0.
import type { Faults, Preference } from '../exercise.ts';

export function judge(
  first: readonly number[],
  second: readonly number[],
  { rationality = Number.POSITIVE_INFINITY, mistake = 0, discount = 1, tieWithin = 0 }: Faults,
  draw: () => number,
): Preference {
  const worth = (rewards: readonly number[]) => rewards.reduce((sum, reward, t) => sum + discount ** t * reward, 0);
  const difference = worth(first) - worth(second);
  if (Math.abs(difference) <= tieWithin) return [0.5, 0.5];
  const choosesFirst = draw() < 1 / (1 + Math.exp(-rationality * difference));
  return choosesFirst !== draw() < mistake ? [1, 0] : [0, 1];
}
