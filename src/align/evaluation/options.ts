/** Options of an evaluation of a policy. */
import { z } from 'zod';
import { numberFrom, optionalText, wholeNumber } from '../../options.ts';
import { judgeCallSchema } from '../judges/judge.ts';
import { policyTrainingSchema } from '../policies/options.ts';

/** Schema of the options of `evaluatePolicy`: types, ranges, defaults and help texts. */
export const policyEvaluationSchema = z
  .object({
    model: z.string().describe('the model to evaluate: a folder, a GGUF file or a name on the Hub'),
    baseline: z
      .string()
      .describe('what it is compared with: a model, likewise, or a file of completions (prompt and completion)'),
    reward: optionalText(
      'what scores completions: a reward model, a .js or .ts file, an address, or "reviews", the true reward',
    ),
    judge: optionalText(
      'chat model that picks the better completion: a folder, a GGUF file, a name on the Hub, or https://…/v1#MODEL',
    ),
  })
  .extend(
    policyTrainingSchema.pick({
      data: true,
      onBadRow: true,
      seed: true,
      maxTokens: true,
      chatTemplate: true,
      chatTemplateKwargs: true,
    }).shape,
  )
  .extend({
    prompts: wholeNumber(1).optional().describe('number of prompts, drawn by the seed (default: all)'),
    batch: wholeNumber(1).default(32).describe('prompts per step'),
    temperature: numberFrom(0).default(1).describe('sampling temperature; 0: always the likeliest token'),
    generate: policyTrainingSchema.shape.generate,
    rewardCall: policyTrainingSchema.shape.rewardCall,
    judgeCall: judgeCallSchema.prefault({}),
  });
/** The options of `evaluatePolicy`, with their defaults. */
export type PolicyEvaluationOptions = z.output<typeof policyEvaluationSchema>;
