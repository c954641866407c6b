/** How much each of two options was preferred: [1, 0] the first, [0, 1] the second, [0.5, 0.5] both alike. */
export type Preference = readonly [first: number, second: number];

/** log σ(x), finite for every finite x: for −1000 it is −1000. */
export function logSigmoid(x: number): number {
  throw new Error('write me');
}

/**
 * The cross-entropy of a preference under the Bradley–Terry model: −p log P − q log(1 − P), with [p, q] the preference
 * and P the probability that the first option is preferred, from the rewards of both.
 *
 * A person chooses by a fair coin in a share `errorRate` of cases: P = (1 − errorRate) · σ(first − second) +
 * errorRate/2.
 */
export function loss(first: number, second: number, preference: Preference, errorRate = 0): number {
  throw new Error('write me');
}
