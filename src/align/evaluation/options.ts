/** Settings of an evaluation of a policy. */
import { z } from 'zod';
import { judgeCallSchema } from '../judges/judge.ts';
import { policyTrainingSchema } from '../policies/options.ts';

const whole = (least: number) => z.number().int().min(least);

export const policyEvaluationSchema = z
  .object({
    model: z.string().describe('folder of the model to evaluate, or its name on the Hub'),
    baseline: z
      .string()
      .describe('what it is compared with: a model likewise, or a file of answers (prompt and completion)'),
    reward: z
      .string()
      .optional()
      .describe('what answers are worth: a reward model, a .js or .ts file, an address, or "reviews", the true one'),
    judge: z
      .string()
      .optional()
      .describe('who says which answer is better: a chat model likewise, or one at an address, https://…/v1#MODEL'),
  })
  .extend(policyTrainingSchema.pick({ data: true, onBadRow: true, seed: true, maxTokens: true }).shape)
  .extend({
    prompts: whole(1).optional().describe('prompts to answer, drawn by the seed (default: all)'),
    batch: whole(1).default(32).describe('prompts answered in a step'),
    temperature: z.number().min(0).default(1).describe('of the draws; 0 takes the likeliest token'),
    generate: policyTrainingSchema.shape.generate,
    rewardCall: policyTrainingSchema.shape.rewardCall,
    judgeCall: judgeCallSchema.prefault({}),
  });
/** The options of `evaluatePolicy`, with their defaults. */
export type PolicyEvaluationOptions = z.output<typeof policyEvaluationSchema>;
