/** How strongly the KL from the reference is held against the policy, and how that follows the KL. */
import { z } from 'zod';
import { type KlEstimator, klEstimators } from '../../nn/index.ts';

const klControllers = ['fixed', 'adaptive', 'proportional'] as const;

export const klSchema = z.object({
  beta: z.number().min(0).default(0.1).describe('β: what a nat of KL costs, at the start'),
  controller: z
    .enum(klControllers)
    .default('proportional')
    .describe('β stays; goes in steps of a tenth; or follows how far the KL is from its target'),
  target: z.number().positive().default(6).describe('adaptive and proportional: the KL wanted, in nats an answer'),
  horizon: z.number().positive().default(1000).describe('proportional: answers in which β follows'),
  estimator: z.enum(klEstimators).default('k1').describe('of the KL of a token in the reward'),
});
export type KlOptions = z.output<typeof klSchema>;

/**
 * β after answers with such a mean KL.
 *
 * - `adaptive` (Schulman et al. 2017, §4, with smaller steps): × 0.9 below target / 1.5, × 1.1 above target × 1.5.
 * - `proportional` (Ziegler et al. 2019, §2.2): × (1 + clip(KL / target − 1, ±0.2) · answers / horizon).
 */
export function nextBeta(
  { controller, target, horizon }: KlOptions,
  beta: number,
  kl: number,
  answers: number,
): number {
  if (controller === 'fixed') return beta;
  if (controller === 'adaptive') {
    if (kl < target / 1.5) return beta * 0.9;
    return kl > target * 1.5 ? beta * 1.1 : beta;
  }
  const error = Math.max(-0.2, Math.min(0.2, kl / target - 1));
  return beta * Math.max(0, 1 + (error * answers) / horizon);
}

/**
 * An estimate of a token's KL(π ‖ π_ref) at a draw from π, from its log-probabilities (Schulman, "Approximating KL Divergence"): with
 * d = log π − log π_ref, k1 = d, k2 = ½d², k3 = e^−d − 1 + d.
 */
export function klOfToken(logP: number, reference: number, estimator: KlEstimator): number {
  const d = logP - reference;
  if (estimator === 'k1') return d;
  return estimator === 'k2' ? 0.5 * d * d : Math.expm1(-d) + d;
}
