/** Settings of the training of a reward model, and of what it is read from. */
import { z } from 'zod';
import { embeddedModel } from '../../lm/model.ts';
import { pairTruncations } from '../examples/pairs.ts';
import { languageTrainingSchema } from '../training/options.ts';
import { loraSchema } from '../training/trainable.ts';
import { worlds } from '../world/demonstrations.ts';
import { rankingLosses } from './loss.ts';

const whole = (least: number) => z.number().int().min(least);

/** What rows of comparisons become; evaluation reads them alike. */
export const rankingDataSchema = z.object({
  onBadRow: z.enum(['error', 'skip']).default('error').describe('stop at a row that is wrong, or leave it out'),
  length: whole(2).optional().describe('tokens of an answer with its prompt (default: as the data, at most 1024)'),
  truncate: z
    .enum(pairTruncations)
    .default('drop')
    .describe('of a comparison with a longer answer: leave it out, keep the start or the end of each, or stop'),
  listSize: whole(2).default(8).describe('answers of a ranking at most; longer ones become several'),
  ratingMargin: z.number().min(0).default(0).describe('margin for each point that an answer is rated above another'),
  source: z.string().default('source').describe('column that names where a comparison is from, for the evaluation'),
});

/** What the training of any reward model has. */
export const rewardTrainingSchema = languageTrainingSchema
  .pick({
    seed: true,
    schedule: true,
    minimumRate: true,
    warmup: true,
    beta2: true,
    maxGradientNorm: true,
    evaluations: true,
    keepBest: true,
    checkpointLayers: true,
    dtype: true,
  })
  .extend({
    model: z.string().default(embeddedModel).describe('folder of a fine-tuned model, or its name on the Hub'),
  });

/** How a reward model learns from items of this name. */
export const rewardLearning = (item: 'ranking' | 'answer') => ({
  lora: loraSchema.prefault({}),
  batch: whole(1).default(32).describe(`${item}s computed at once`),
  accumulate: whole(1).default(1).describe(`times so many ${item}s make one step`),
  epochs: z.number().positive().default(2).describe(`times every ${item} is seen`),
  learningRate: z.number().positive().optional().describe('the highest (default: 0.5/√parameters that are trained)'),
  weightDecay: z.number().min(0).default(0.01).describe('of matrices, decoupled (AdamW)'),
});

export const rewardSchema = rewardTrainingSchema
  .extend({
    data: z.string().optional().describe('file, folder, pattern or name on the Hub of the comparisons'),
    world: z
      .enum(worlds)
      .default('reviews')
      .describe("without --data: the embedded world, in which the model's own answers are compared"),
    comparisons: whole(2).default(1000).describe('without --data: how many'),
    teacher: z.string().default('mistake:0.1').describe('without --data: who compares, as in heed train'),
    ...rankingDataSchema.shape,
    loss: z.enum(rankingLosses).default('bradley-terry').describe('over all pairs of a ranking, or over its order'),
    centering: z
      .number()
      .min(0)
      .default(0.005)
      .describe('weight of the squared sums of scores, which keeps them about 0'),
    labelSmoothing: z.number().min(0).lt(0.5).default(0).describe('share of the choices taken to be wrong'),
    members: whole(1).default(1).describe('models of an ensemble, each with a head and an order of its own'),
    normalize: z.boolean().default(true).describe('make rewards 0 on average over held-out answers, deviating by 1'),
    ...rewardLearning('ranking'),
    evaluation: z
      .object({
        data: z.string().optional().describe('held-out comparisons (default: a share of those learned from)'),
        share: z.number().min(0).lt(1).default(0.1).describe('held out by prompt, without --evaluation.data'),
        comparisons: whole(1).default(400).describe('without --data: held-out comparisons, of which none is wrong'),
      })
      .prefault({}),
  })
  .refine(({ loss, labelSmoothing, ratingMargin }) => loss === 'bradley-terry' || labelSmoothing + ratingMargin === 0, {
    path: ['loss'],
    message: 'expected bradley-terry with --labelSmoothing or --ratingMargin',
  });
/** The options of `reward`, with their defaults. */
export type RewardOptions = z.output<typeof rewardSchema>;
