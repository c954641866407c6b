/** [1, 0] the first segment is better, [0, 1] the second, [0.5, 0.5] both alike. */
export type Preference = readonly [first: number, second: number];

/** How a teacher errs. What is absent is perfect. */
export interface Faults {
  /** β: prefers the first with probability σ(β · difference of returns). Absent: always the better one. */
  rationality?: number;
  /** Probability that a choice is turned around. A tie is never turned around. */
  mistake?: number;
  /** γ: the last step of a segment weighs 1, the one before γ, the one before that γ², … Absent: 1. */
  discount?: number;
  /** The largest difference of returns that still is a tie. Absent: 0. */
  tieWithin?: number;
}

/**
 * A teacher that knows the true rewards of two segments of one length, and judges in this order: tie, choice, mistake.
 * `draw()` gives a random number from 0 up to 1.
 */
export function judge(
  first: readonly number[],
  second: readonly number[],
  faults: Faults,
  draw: () => number,
): Preference {
  throw new Error('write me');
}
