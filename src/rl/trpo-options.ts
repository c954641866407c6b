/** The settings of TRPO, sb3-contrib's where none are given; docs/reference/trpo.md says where each comes from. */
import { z } from 'zod';
import { ppoSchema } from './ppo-options.ts';
import { withDefaults } from './redefault.ts';

const { shape } = ppoSchema.omit({
  clip: true,
  annealClip: true,
  valueClip: true,
  valueCoefficient: true,
  entropyCoefficient: true,
  maxGradientNorm: true,
});
const count = z.number().int().min(1);

/** The options of TRPO. */
export const trpoSchema = z.object({
  ...withDefaults(shape, {
    environments: 1,
    horizon: 2048,
    discount: 0.99,
    lambda: 0.95,
    finalLearningRate: 1,
  }),
  epochs: count.default(10).describe("the critic's passes over what was collected, an update"),
  minibatch: count.default(128).describe("steps a gradient of the critic's; divides environments × horizon"),
  learningRate: z.number().positive().default(1e-3).describe("Adam's rate for the critic at the start"),
  targetKl: z.number().positive().default(0.01).describe('δ: KL divergence that an update may move the policy by'),
  conjugateSteps: count.default(15).describe('steps of the conjugate gradient'),
  damping: z.number().min(0).default(0.1).describe('added to the diagonal of the Fisher matrix'),
  backtracks: count.default(10).describe('lengths of the step that are tried at most'),
  shrink: z.number().gt(0).lt(1).default(0.8).describe('each as a share of the one before'),
});
/** Checked options of TRPO. */
export type TrpoOptions = z.infer<typeof trpoSchema>;
