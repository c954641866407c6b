/** The settings of PPO; docs/reference/ppo.md says where each comes from. */
import { z } from 'zod';

const positive = z.number().positive();
const fraction = z.number().min(0).max(1);

/** The options of PPO. */
export const ppoSchema = z.object({
  environments: z.number().int().min(1).max(4096).default(8).describe('environments stepped side by side'),
  horizon: z.number().int().min(1).default(32).describe('steps of each environment between updates'),
  epochs: z.number().int().min(1).default(20).describe('passes over what was collected, an update'),
  minibatch: z.number().int().min(1).default(256).describe('steps a gradient; divides environments × horizon'),
  discount: fraction.default(0.98).describe('γ'),
  lambda: fraction.default(0.8).describe('λ of generalized advantage estimation'),
  learningRate: positive.default(1e-3).describe("Adam's rate at the start"),
  finalLearningRate: fraction.default(0).describe('rate at the end, as a share of the start; linear between'),
  clip: positive.default(0.2).describe('ε: how far the probability ratio may move'),
  annealClip: z.boolean().default(true).describe('let ε fall with the learning rate'),
  valueClip: positive.optional().describe('how far a value may move in an update; no limit where absent'),
  valueCoefficient: z
    .number()
    .min(0)
    .default(1)
    .describe("c_v, weight of the value loss ½(V − R)²; others' vf_coef of 0.5 is 1 here"),
  entropyCoefficient: z
    .number()
    .min(0)
    .default(0)
    .describe('weight of the entropy bonus; falls with the learning rate'),
  maxGradientNorm: positive.default(0.5).describe('global norm that gradients are clipped to'),
  targetKl: positive.optional().describe('stop an update when the approximate KL exceeds 1.5 of this'),
  normalizeAdvantages: z.boolean().default(true).describe('to zero mean and unit deviation, by minibatch'),
  advantageFloor: z
    .number()
    .min(0)
    .default(0)
    .describe('smallest deviation that advantages are divided by; above 0, differences too small to matter stay small'),
  normalizeObservations: z.boolean().default(false).describe('by their running mean and deviation'),
  normalizeRewards: z.boolean().default(false).describe('by the running deviation of the discounted return'),
  hidden: z
    .array(z.number().int().min(1))
    .default([64, 64])
    .describe('widths of the hidden layers of actor and critic'),
  activation: z.enum(['tanh', 'relu']).default('tanh').describe('activation of the hidden layers'),
  gain: positive.default(Math.SQRT2).describe('gain of the orthogonal initial weights of the hidden layers'),
});
/** Checked options of PPO. */
export type PpoOptions = z.infer<typeof ppoSchema>;
