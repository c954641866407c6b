/** Settings that every training of a language model has. */
import { z } from 'zod';
import { FLOAT_DTYPES } from '../../lm/floats.ts';
import { schedules } from '../../nn/index.ts';

const whole = (least: number) => z.number().int().min(least);

const samplesSchema = z.object({
  count: whole(0).default(4).describe('prompts answered at each evaluation, for people to read'),
  data: z.string().optional().describe('prompts to answer (default: the beginnings of held-out examples)'),
  maxTokens: whole(1).default(96).describe('tokens of an answer at most'),
  temperature: z.number().min(0).default(1).describe('of the draws; 0 takes the likeliest token'),
});

export const languageTrainingSchema = z.object({
  seed: whole(0).default(0).describe('seed of everything that is drawn'),
  rows: whole(1).default(8).describe('rows computed at once'),
  accumulate: whole(1).default(1).describe('times so many rows make one step'),
  learningRate: z.number().positive().optional().describe('the highest (default: 1/√parameters of the model)'),
  schedule: z
    .string()
    .refine(schedules.has, { error: () => `expected one of ${schedules.names().join(', ')}` })
    .default('linear')
    .describe(`course of the learning rate after the warm-up: ${schedules.names().join(', ')}`),
  minimumRate: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('cosine_with_min_lr: the last rate, as a share of the highest'),
  warmup: z.number().min(0).lt(1).default(0.03).describe('share of the steps in which the rate rises from 0'),
  weightDecay: z.number().min(0).default(0).describe('of matrices, decoupled (AdamW)'),
  beta2: z.number().min(0).lt(1).default(0.999).describe("AdamW's memory of squared gradients"),
  maxGradientNorm: z.number().positive().default(1).describe('gradients are scaled down to this global norm'),
  evaluations: whole(0).default(5).describe('evaluations on held-out data on the way, evenly spaced'),
  patience: whole(0).default(0).describe('stop after so many evaluations without a lower loss; 0 never does'),
  keepBest: z.boolean().default(true).describe('keep the model of the lowest held-out loss in best/ too'),
  checkpointLayers: z.boolean().default(false).describe('compute layers again for gradients: less memory, more time'),
  dtype: z.enum(FLOAT_DTYPES).default('F32').describe('what the weights of saved models are rounded to'),
  samples: samplesSchema.prefault({}),
});
export type LanguageTrainingOptions = z.output<typeof languageTrainingSchema>;
