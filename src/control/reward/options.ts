/** The settings of the reward ensemble, of how it is fitted and of how its rewards are normalized. */
import { z } from 'zod';

const positive = z.number().positive();

/** Options of the reward ensemble. */
export const rewardSchema = z.object({
  members: z.number().int().min(1).max(64).default(3).describe('networks in the ensemble'),
  hidden: z.array(z.number().int().min(1)).default([32, 32]).describe('widths of the hidden layers'),
  output: z.enum(['tanh', 'linear']).default('tanh').describe('last activation; tanh bounds the reward of a step'),
  activation: z.enum(['tanh', 'relu']).default('tanh').describe('activation of the hidden layers'),
  lastGain: positive.default(0.1).describe('gain of the initial weights of the last layer'),
  constant: z
    .number()
    .min(0)
    .default(30)
    .describe('weight of a learned constant in the reward of every step; 0 leaves only the network'),
  change: z.boolean().default(false).describe('also show what the step changed, and whether it ended the task'),
  terminalHead: z.boolean().default(false).describe('an output of its own for the step that ends the task'),
  learningRate: positive.default(3e-3).describe("AdamW's rate"),
  finalLearningRate: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('rate at the end of each fit, as a share of that at its start; linear between'),
  weightDecay: z.number().min(0).default(6).describe("AdamW's decoupled weight decay, of all but the constant"),
  minibatch: z.number().int().min(1).default(32).describe('comparisons a gradient, drawn with replacement'),
  firstSteps: z.number().int().min(1).default(200).describe('gradient steps of the first fit'),
  steps: z.number().int().min(1).default(100).describe('gradient steps of each later fit'),
  coverage: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('stops a fit once this share of the comparisons is predicted as chosen'),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('share of the hidden units dropped at each gradient step (the paper: 0.5 in Atari)'),
  crop: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('least share of both segments that a gradient step sees, at random places (SURF)'),
  pseudo: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('share of a minibatch with unlabeled pairs that the ensemble is sure of (SURF)'),
  confidence: z
    .number()
    .min(0.5)
    .lt(1)
    .default(0.99)
    .describe('probability from which the ensemble is sure of a choice'),
  learnsFrom: z
    .enum(['comparisons', 'returns'])
    .default('comparisons')
    .describe('what a fit learns from: choices, or true returns by squared error (for ablations)'),
  bootstrap: z.boolean().default(false).describe('each member learns from its own resampling of the comparisons'),
  validation: z.number().min(0).max(0.5).default(0).describe('share of the comparisons held out from every fit'),
  l2: z
    .number()
    .min(0)
    .default(0)
    .describe('initial l2 on the weights; it adapts to the validation loss if there is a validation share'),
  normalize: z
    .enum(['scale', 'zero-mean', 'zero-at-first'])
    .default('scale')
    .describe('how members are normalized before averaging: scale only, or zero mean too'),
  scaleBy: z
    .enum(['rms', 'return'])
    .default('rms')
    .describe('what is scaled to the deviation: the rewards themselves, or their discounted return'),
  deviation: positive.default(1).describe('deviation after normalizing'),
  bonus: z
    .number()
    .min(0)
    .default(0)
    .describe("weight of the members' deviation in the policy's reward, for exploration (RUNE)"),
  bonusDecay: z
    .number()
    .min(0)
    .lt(1)
    .default(1e-5)
    .describe('share of the bonus that is lost with each environment step'),
});
/** Options of the reward ensemble, defaults filled in. */
export type RewardOptions = z.infer<typeof rewardSchema>;
