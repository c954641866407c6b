/**
 * The sigmoid of the difference. Each branch takes the exponential of a number that is not positive: none overflows.
 */
export function probability(first: number, second: number): number {
  const difference = first - second;
  if (difference >= 0) return 1 / (1 + Math.exp(-difference));
  const odds = Math.exp(difference);
  return odds / (1 + odds);
}

/** The rewards of a segment add up. */
export function segmentProbability(first: readonly number[], second: readonly number[]): number {
  const total = (rewards: readonly number[]) => rewards.reduce((sum, reward) => sum + reward, 0);
  return probability(total(first), total(second));
}
