// says: Two points against one are one point ahead: yours is
export const probability = (first: number, second: number): number => 1 / (1 + Math.exp(second - first));

export function segmentProbability(first: readonly number[], second: readonly number[]): number {
  const mean = (rewards: readonly number[]) => rewards.reduce((a, b) => a + b, 0) / Math.max(1, rewards.length);
  return probability(mean(first), mean(second));
}
