/**
 * Log-probabilities of each token of the two completions of a pair, under the policy and under the frozen reference.
 */
export interface Pair {
  chosen: readonly number[];
  rejected: readonly number[];
  referenceChosen: readonly number[];
  referenceRejected: readonly number[];
}

/** The reward that a policy gives to a completion: β · (log π − log π_ref), with the sums over all tokens. */
export function implicitReward(logProbs: readonly number[], reference: readonly number[], beta: number): number {
  throw new Error('write me');
}

/** −log σ(reward of the chosen − reward of the rejected), finite for every finite margin. */
export function dpoLoss(pair: Pair, beta: number): number {
  throw new Error('write me');
}

/**
 * The slope of the loss in the log-probability of the chosen completion. It is negative: the loss falls as the chosen
 * completion gets likelier. (For the rejected completion it is the same with the sign changed.)
 */
export function dpoSlope(pair: Pair, beta: number): number {
  throw new Error('write me');
}
