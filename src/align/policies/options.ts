/** Settings that every training has in which a policy answers prompts and learns from what its answers are worth. */
import { z } from 'zod';
import { rewardCallSchema } from '../rewards/open.ts';
import { languageTrainingSchema } from '../training/options.ts';
import { loraSchema } from '../training/trainable.ts';
import { askingSchema } from './ask-people.ts';
import { lagrangeSchema } from './constraints.ts';

const whole = (least: number) => z.number().int().min(least);

export const policyTrainingSchema = z
  .object({
    model: z.string().describe('folder of the model to train, or its name on the Hub: a fine-tuned one'),
    reference: z.string().optional().describe('the model that the KL is measured from (default: the one to train)'),
    reward: z
      .string()
      .default('reviews')
      .describe('what answers are worth: a reward model, a .js or .ts file, an address, or "reviews", the true one'),
    subjectTo: z
      .string()
      .optional()
      .describe(
        'what is to hold of other rewards meanwhile, such as "B >= 0.5 and C <= 2": see docs/reference/multi-objective.md',
      ),
    gold: z
      .string()
      .optional()
      .describe('a second reward, which evaluations tell of and nothing is learned from: as --reward'),
    data: z
      .string()
      .optional()
      .describe('file, folder, pattern or name on the Hub of prompts (default: those of the embedded world)'),
    onBadRow: z.enum(['error', 'skip']).default('error').describe('stop at a row that is wrong, or leave it out'),
  })
  .extend(
    languageTrainingSchema.pick({
      seed: true,
      minimumRate: true,
      weightDecay: true,
      maxGradientNorm: true,
      evaluations: true,
      checkpointLayers: true,
      dtype: true,
    }).shape,
  )
  .extend({
    rewardCall: rewardCallSchema.prefault({}),
    lagrange: lagrangeSchema.prefault({}),
    steps: whole(1).default(50).describe('times that prompts are answered and learned from'),
    batch: whole(1).default(64).describe('prompts answered in a step'),
    maxTokens: whole(1).default(96).describe('tokens of an answer at most'),
    temperature: z.number().positive().default(1).describe('of the draws, and of all log-probabilities'),
    generate: z.object({ batch: whole(1).default(64).describe('answers generated side by side') }).prefault({}),
    rows: whole(1).default(8).describe('rows of answers computed at once: fewer take less memory'),
    learningRate: z
      .number()
      .positive()
      .optional()
      .describe('the highest (default: 0.2/√parameters; LoRA: ten times it)'),
    schedule: languageTrainingSchema.shape.schedule
      .unwrap()
      .default('constant')
      .describe('how the learning rate goes on'),
    warmup: languageTrainingSchema.shape.warmup
      .unwrap()
      .default(0)
      .describe('share of the steps in which the rate rises'),
    beta2: languageTrainingSchema.shape.beta2.unwrap().default(0.95).describe("AdamW's memory of squared gradients"),
    epsilon: z.number().positive().default(1e-5).describe("AdamW's ε: keeps rare small gradients from large steps"),
    keepBest: z.boolean().default(true).describe('keep the model of the highest reward in an evaluation in best/ too'),
    evaluation: z
      .object({
        data: z.string().optional().describe('prompts for evaluations (default: a share of the others)'),
        share: z.number().gt(0).lt(1).default(0.05).describe('held out without --evaluation.data'),
        count: whole(1).default(128).describe('prompts of an evaluation at most'),
        probes: z
          .string()
          .optional()
          .describe('prompts that try to lead astray, with what an answer is to avoid in a column "avoid"'),
        samples: whole(0).default(4).describe('answers of an evaluation kept for people to read'),
      })
      .prefault({}),
    lora: loraSchema.prefault({}),
    askPeople: z
      .boolean()
      .default(false)
      .describe('open a studio where people compare the answers of the policy; the reward model learns from that'),
    people: askingSchema.prefault({}),
  });
type Settings = z.output<typeof policyTrainingSchema>;
/** Trainings of several policies ask nobody. */
export type PolicyTrainingOptions = Omit<Settings, 'askPeople' | 'people'> &
  Partial<Pick<Settings, 'askPeople' | 'people'>>;

/** What those leave out of the settings. */
export const asksNobody = { askPeople: true, people: true } as const;
