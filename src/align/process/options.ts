/** Settings of heed process. */
import { z } from 'zod';
import { rankingDataSchema, rewardLearning, rewardTrainingSchema } from '../reward-model/options.ts';
import { aggregates } from './steps.ts';

const whole = (least: number) => z.number().int().min(least);

/** Every step; those up to the first wrong one (Lightman et al. 2023, §2.4); the last, right where all are (outcome supervision). */
const supervisions = ['steps', 'first-error', 'outcome'] as const;

export const processSchema = rewardTrainingSchema.extend({
  data: z
    .string()
    .optional()
    .describe(
      "file, folder, pattern or name on the Hub of answers in steps (default: the model's own in the embedded world)",
    ),
  answers: whole(2).default(500).describe('without --data: how many answers, of which each sentence is labeled'),
  ...rankingDataSchema.pick({ onBadRow: true, length: true }).shape,
  truncate: z
    .enum(['start', 'drop', 'error'])
    .default('start')
    .describe('of a longer answer: keep the steps that fit, leave it out, or stop'),
  separator: z
    .string()
    .min(1)
    .optional()
    .describe('what ends a step (default: a line break, or the end of a sentence)'),
  supervision: z
    .enum(supervisions)
    .default('steps')
    .describe('which steps are learned from, see docs/reference/process.md'),
  aggregate: z.enum(aggregates).default('product').describe('what steps make an answer worth, where it is a reward'),
  ...rewardLearning('answer'),
  evaluation: z
    .object({
      data: z.string().optional().describe('held-out answers in steps (default: a share of those learned from)'),
      share: z.number().min(0).lt(1).default(0.1).describe('held out by prompt, without --evaluation.data'),
      answers: whole(1).default(200).describe('without --data: held-out answers'),
    })
    .prefault({}),
});
/** The options of `processSupervision`, with their defaults. */
export type ProcessOptions = z.output<typeof processSchema>;
