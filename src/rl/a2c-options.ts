/** The settings of A2C. Defaults are Stable-Baselines3's; docs/reference/a2c.md has the source of each. */
import { z } from 'zod';
import { ppoSchema } from './ppo-options.ts';
import { withDefaults } from './redefault.ts';

const { shape } = ppoSchema.omit({
  epochs: true,
  minibatch: true,
  clip: true,
  annealClip: true,
  valueClip: true,
  targetKl: true,
});

/** Options of A2C; docs/reference/a2c.md has the source of each. */
export const a2cSchema = z.object({
  ...withDefaults(shape, {
    horizon: 5,
    discount: 0.99,
    lambda: 1,
    finalLearningRate: 1,
    normalizeAdvantages: false,
  }),
  optimizer: z.enum(['rmsprop', 'adam']).default('rmsprop').describe('optimizer'),
  learningRate: z.number().positive().default(7e-4).describe('initial learning rate'),
  epsilon: z.number().positive().default(1e-5).describe('ε of the optimizer, added outside the root'),
});
/** Checked options of A2C. */
export type A2cOptions = z.infer<typeof a2cSchema>;
