/** The settings of TRPO. Defaults are sb3-contrib's; docs/reference/trpo.md has the source of each. */
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

/** Options of TRPO; docs/reference/trpo.md has the source of each. */
export const trpoSchema = z.object({
  ...withDefaults(shape, {
    environments: 1,
    horizon: 2048,
    discount: 0.99,
    lambda: 0.95,
    finalLearningRate: 1,
  }),
  epochs: count.default(10).describe('passes of the critic over the collected steps in each update'),
  minibatch: count.default(128).describe('steps per minibatch of the critic; must divide environments × horizon'),
  learningRate: z.number().positive().default(1e-3).describe('initial learning rate of Adam, for the critic'),
  targetKl: z.number().positive().default(0.01).describe('δ: maximum KL divergence of an update'),
  conjugateSteps: count.default(15).describe('conjugate gradient iterations'),
  damping: z.number().min(0).default(0.1).describe('damping added to the diagonal of the Fisher matrix'),
  backtracks: count.default(10).describe('maximum number of step lengths tried'),
  shrink: z.number().gt(0).lt(1).default(0.8).describe('ratio of each step length to the one before'),
});
/** Checked options of TRPO. */
export type TrpoOptions = z.infer<typeof trpoSchema>;
