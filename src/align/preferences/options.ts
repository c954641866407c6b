/** Settings that every training on preferences has. */
import { z } from 'zod';
import { pairTruncations } from '../examples/pairs.ts';
import { languageTrainingSchema } from '../training/options.ts';
import { loraSchema } from '../training/trainable.ts';

const whole = (least: number) => z.number().int().min(least);

export const preferenceSchema = languageTrainingSchema
  .pick({
    seed: true,
    schedule: true,
    minimumRate: true,
    weightDecay: true,
    beta2: true,
    maxGradientNorm: true,
    evaluations: true,
    patience: true,
    keepBest: true,
    checkpointLayers: true,
    dtype: true,
    chatTemplate: true,
  })
  .extend({
    model: z.string().describe('folder of the model to train, or its name on the Hub: a fine-tuned one'),
    reference: z.string().optional().describe('the model that the policy is held to (default: the one to train)'),
    precompute: z
      .boolean()
      .default(true)
      .describe("compute the reference's log-probabilities once, before the first step; else at each step"),
    data: z.string().optional().describe('file, folder, pattern or name on the Hub of the preferences'),
    comparisons: whole(2)
      .default(1000)
      .describe("without --data: pairs of the model's own answers to the embedded world's prompts"),
    teacher: z.string().default('mistake:0.1').describe('without --data: who compares them, as in heed train'),
    onBadRow: z.enum(['error', 'skip']).default('error').describe('stop at a row that is wrong, or leave it out'),
    length: whole(2).optional().describe('tokens of an answer with its prompt (default: as the model, at most 1024)'),
    truncate: z
      .enum(pairTruncations)
      .default('drop')
      .describe('of what is longer: leave it out, keep the start or the end, or stop'),
    epochs: z.number().positive().default(2).describe('times every pair or answer is seen'),
    steps: whole(1).optional().describe('optimizer steps, in place of epochs'),
    batch: whole(1).default(32).describe('pairs, or answers, of an optimizer step'),
    part: whole(1).default(16).describe('of these computed at once: fewer take less memory'),
    learningRate: z
      .number()
      .positive()
      .optional()
      .describe('the highest (default: 0.2/√parameters, less for answers above 64 tokens; LoRA: ten times it)'),
    warmup: languageTrainingSchema.shape.warmup
      .unwrap()
      .default(0.1)
      .describe('share of the steps in which the rate rises from 0'),
    lora: loraSchema.prefault({}),
    reward: z
      .string()
      .optional()
      .describe('what answers are worth, in evaluations, as in heed ppo (default: without --data, "reviews")'),
    evaluation: z
      .object({
        data: z.string().optional().describe('held-out preferences (default: a share of those learned from)'),
        share: z.number().min(0).lt(1).default(0.1).describe('held out by prompt, without --evaluation.data'),
        comparisons: whole(1).default(200).describe('without --data: held-out comparisons, of which none is wrong'),
        prompts: whole(0)
          .default(128)
          .describe('held-out prompts answered at most; 0 spares it, and the KL is not told'),
        samples: whole(0).default(4).describe('of the answers, those kept for people to read'),
        maxTokens: whole(1).default(96).describe('tokens of an answer at most'),
        temperature: z.number().positive().default(1).describe('of the draws'),
        batch: whole(1).default(64).describe('answers generated side by side'),
      })
      .prefault({}),
  });

/** Without a reference in the loss: what there is of it tells how far the policy has gone. */
export const referenceFreeSchema = preferenceSchema.omit({ reference: true, precompute: true });
export type PreferenceOptions = z.output<typeof referenceFreeSchema> &
  Partial<Pick<z.output<typeof preferenceSchema>, 'reference' | 'precompute'>>;
