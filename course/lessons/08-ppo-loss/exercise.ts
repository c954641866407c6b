/** One action: its log-probability now and when it was taken, and its advantage. */
export interface Sample {
  logProb: number;
  oldLogProb: number;
  advantage: number;
}

/** min(ρA, clip(ρ, 1 − ε, 1 + ε)A) with ρ = π/π_old, the ratio of the probabilities. It is to become large. */
export function surrogate({ logProb, oldLogProb, advantage }: Sample, epsilon: number): number {
  throw new Error('write me');
}

/** The slope of the surrogate in `logProb`. (ρA has the slope ρA; what is clipped has the slope 0.) */
export function slope({ logProb, oldLogProb, advantage }: Sample, epsilon: number): number {
  throw new Error('write me');
}

/** The loss of a minibatch, which is to become small, and the share of its samples whose slope was clipped to 0. */
export function ppoLoss(samples: readonly Sample[], epsilon: number): { loss: number; clipFraction: number } {
  throw new Error('write me');
}
