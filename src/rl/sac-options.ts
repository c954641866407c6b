/** The settings of SAC; docs/reference/sac.md has the source of each. */
import { z } from 'zod';

const positive = z.number().positive();
const fraction = z.number().min(0).max(1);
const count = z.number().int().min(1);

/** Options of SAC; docs/reference/sac.md has the source of each. */
export const sacSchema = z.object({
  environments: count.max(4096).default(1).describe('number of environments stepped side by side'),
  horizon: count.default(1).describe('steps that each environment takes between updates'),
  gradientSteps: count.default(1).describe('gradient steps in each update'),
  minibatch: count.default(256).describe('transitions per minibatch'),
  bufferSize: count.default(1_000_000).describe('capacity of the replay buffer, in transitions; the oldest make room'),
  learningStarts: z
    .number()
    .int()
    .min(0)
    .default(100)
    .describe('steps with uniformly random actions before learning starts'),
  discount: fraction.default(0.99).describe('discount factor γ'),
  learningRate: positive.default(3e-4).describe('learning rate of Adam, for actor, critics and temperature'),
  tau: fraction.default(0.005).describe('τ: share of the critics that the target networks take over in each update'),
  targetInterval: count.default(1).describe('gradient steps between updates of the target networks'),
  temperature: positive.optional().describe('weight of the entropy α (default: learned)'),
  initialTemperature: positive.default(1).describe('initial value of a learned α'),
  targetEntropy: z
    .number()
    .optional()
    .describe('entropy in nats that a learned α aims at (default: −number of action dimensions)'),
  hidden: z.array(count).default([256, 256]).describe('widths of the hidden layers of actor and critics'),
  activation: z.enum(['tanh', 'relu']).default('relu').describe('activation of the hidden layers'),
});
/** Checked options of SAC. */
export type SacOptions = z.infer<typeof sacSchema>;
