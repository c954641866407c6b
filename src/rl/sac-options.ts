/** The settings of SAC; docs/reference/sac.md says where each comes from. */
import { z } from 'zod';

const positive = z.number().positive();
const fraction = z.number().min(0).max(1);
const count = z.number().int().min(1);

/** The options of SAC. */
export const sacSchema = z.object({
  environments: count.max(4096).default(1).describe('environments stepped side by side'),
  horizon: count.default(1).describe('steps of each environment between updates'),
  gradientSteps: count.default(1).describe('gradients an update'),
  minibatch: count.default(256).describe('transitions a gradient'),
  bufferSize: count.default(1_000_000).describe('transitions kept to learn from; the oldest are forgotten'),
  learningStarts: z.number().int().min(0).default(100).describe('steps of uniform actions before anything is learned'),
  discount: fraction.default(0.99).describe('γ'),
  learningRate: positive.default(3e-4).describe("Adam's rate, of actor, critics and temperature"),
  tau: fraction.default(0.005).describe('share of the critics that the target networks take on'),
  targetInterval: count.default(1).describe('gradients between two such'),
  temperature: positive.optional().describe('α, weight of the entropy; learned where absent'),
  initialTemperature: positive.default(1).describe('what a learned α starts from'),
  targetEntropy: z.number().optional().describe('nats that a learned α aims at; −(numbers an action has) where absent'),
  hidden: z.array(count).default([256, 256]).describe('widths of the hidden layers of actor and critics'),
  activation: z.enum(['tanh', 'relu']).default('relu').describe('activation of the hidden layers'),
});
/** Checked options of SAC. */
export type SacOptions = z.infer<typeof sacSchema>;
