/** Controls β, the cost of KL from the reference. */
import { z } from 'zod';
import { klEstimators } from '../../nn/ppo-loss.ts';

const klControllers = ['fixed', 'adaptive', 'proportional'] as const;

/** Schema of the KL penalty: β, its controller and the estimator. */
export const klSchema = z.object({
  beta: z
    .number()
    .min(0)
    .default(0.1)
    .describe('β: the initial cost of a nat of KL, subtracted from the reward; 0: off'),
  controller: z
    .enum(klControllers)
    .default('proportional')
    .describe(
      'how β changes: not; by 10 % when the KL is off target; or in proportion to its distance from the target',
    ),
  target: z.number().positive().default(6).describe('target KL of adaptive and proportional, in nats per completion'),
  horizon: z.number().positive().default(1000).describe('completions over which proportional moves β'),
  estimator: z.enum(klEstimators).default('k1').describe("estimator of a token's KL, in the reward and in metrics"),
});
/** Options of the KL penalty, with their defaults. */
export type KlOptions = z.output<typeof klSchema>;

/**
 * β after a batch of `answers` completions with this mean KL.
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
