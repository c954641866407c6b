/** Estimates of the KL between a policy and its reference, from the policy's completions. */
import type { KlEstimator } from '../../nn/ppo-loss.ts';
import type { LanguageRollout } from './rollouts.ts';

/**
 * An estimate of KL(π ‖ π_ref) from one token drawn from π, in nats (Schulman, "Approximating KL Divergence"): with
 * d = log π − log π_ref, k1 = d, k2 = ½d², k3 = e^−d − 1 + d.
 */
export function klOfToken(logP: number, reference: number, estimator: KlEstimator): number {
  const d = logP - reference;
  if (estimator === 'k1') return d;
  return estimator === 'k2' ? 0.5 * d * d : Math.expm1(-d) + d;
}

/** Estimates of KL(π ‖ π_ref) for each completion, in nats: the sum over its tokens; for `k1`, Σ log π − log π_ref. */
export const completionKl = (
  { logProbs, referenceLogProbs }: Pick<LanguageRollout, 'logProbs' | 'referenceLogProbs'>,
  estimator: KlEstimator = 'k1',
): number[] =>
  logProbs.map((row, i) => row.reduce((sum, logP, t) => sum + klOfToken(logP, referenceLogProbs[i][t], estimator), 0));

/** The KL before a step in nats, and the factor of the learning rate that the step took. */
export interface KlBefore {
  kl: number;
  factor: number;
}

/**
 * The factor of the learning rate at a KL from the reference, both in nats per completion: 1 up to half of `most`, 0
 * from `most` on, and linear in between. Where the last step was so large that another one would pass `most`, the factor
 * is lower: the next step goes half of the way at most. A `most` of 0 is no limit.
 */
export function klTaper(kl: number, most: number, last?: KlBefore): number {
  if (most === 0) return 1;
  const left = most - kl;
  const move = last && last.factor > 0 ? (kl - last.kl) / last.factor : 0; // of a step at the full rate
  const factor = Math.min(1, (2 * left) / most, move > 0 ? left / (2 * move) : 1);
  return Math.max(0, factor);
}
