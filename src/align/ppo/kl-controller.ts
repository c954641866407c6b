/** How strongly the KL from the reference is held against the policy, and how that follows the KL. */
import { z } from 'zod';
import { klEstimators } from '../../nn/index.ts';

const klControllers = ['fixed', 'adaptive', 'proportional'] as const;

export const klSchema = z.object({
  beta: z.number().min(0).default(0.1).describe('β: what a nat of KL costs, at the start'),
  controller: z
    .enum(klControllers)
    .default('proportional')
    .describe('β stays; goes in steps of a tenth; or follows how far the KL is from its target'),
  target: z.number().positive().default(6).describe('adaptive and proportional: the KL wanted, in nats an answer'),
  horizon: z.number().positive().default(1000).describe('proportional: answers in which β follows'),
  estimator: z.enum(klEstimators).default('k1').describe('of the KL of a token, in the reward and in metrics'),
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
