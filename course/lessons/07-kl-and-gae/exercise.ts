/**
 * The reward of each token of a completion: −β · (log π − log π_ref) for every token, and for the last one the score of
 * the whole completion in addition. `logProbs` and `reference` have one number per token; there is at least one token.
 */
export function tokenRewards(
  score: number,
  logProbs: readonly number[],
  reference: readonly number[],
  beta: number,
): number[] {
  throw new Error('write me');
}

/**
 * The advantage of each step by generalized advantage estimation: Σ (γλ)ᵏ δ, with δ = r + γ · V(next) − V and k from
 * the step on. `values[t]` is the value before step t. Nothing follows the last step: its next value is 0.
 */
export function advantages(
  rewards: readonly number[],
  values: readonly number[],
  discount: number,
  lambda: number,
): number[] {
  throw new Error('write me');
}
