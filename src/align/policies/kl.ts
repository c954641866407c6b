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
export const answerKl = (
  { logProbs, referenceLogProbs }: Pick<LanguageRollout, 'logProbs' | 'referenceLogProbs'>,
  estimator: KlEstimator = 'k1',
): number[] =>
  logProbs.map((own, i) => own.reduce((sum, logP, t) => sum + klOfToken(logP, referenceLogProbs[i][t], estimator), 0));

/**
 * The factor of the learning rate at a KL from the reference, both in nats per completion: 1 up to half of `most`, 0
 * from `most` on, and linear in between. A `most` of 0 is no limit.
 */
export const klTaper = (kl: number, most: number): number =>
  most === 0 ? 1 : Math.min(1, Math.max(0, 2 * (1 - kl / most)));
