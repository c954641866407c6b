/**
 * The probability that somebody prefers the first of two options: σ(first − second), the sigmoid of the difference of
 * their rewards. It must hold for rewards of any size, such as 1000 and −1000.
 */
export function probability(first: number, second: number): number {
  throw new Error('write me');
}

/** The same for two segments, each a list of rewards, one per step: their sums are compared. */
export function segmentProbability(first: readonly number[], second: readonly number[]): number {
  throw new Error('write me');
}
