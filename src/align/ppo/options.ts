/** Settings of heed ppo. */
import { z } from 'zod';
import { policyTrainingSchema } from '../policies/options.ts';
import { scoreSchema } from '../policies/score-scale.ts';
import { guardsSchema } from './guards.ts';
import { klSchema } from './kl-controller.ts';

const whole = (least: number) => z.number().int().min(least);

/** Networks that a critic may be, see critic.ts. */
export const criticKinds = ['own', 'shared', 'adapters'] as const;

export const ppoSchema = policyTrainingSchema.extend({
  kl: klSchema.prefault({}),
  score: scoreSchema
    .unwrap()
    .extend({
      place: z
        .enum(['last', 'after', 'steps'])
        .default('last')
        .describe(
          'where the score comes: on the last token; a step after the EOS, as in TRL; or by the steps of an answer',
        ),
    })
    .prefault({}),
  guards: guardsSchema.prefault({}),
  ppo: z
    .object({
      epochs: whole(1).default(2).describe('times each answer is learned from'),
      minibatch: whole(1).default(32).describe('answers of an optimizer step'),
      clip: z.number().positive().default(0.2).describe('ε: the ratio that is trusted is 1 ± ε'),
      discount: z.number().min(0).max(1).default(1).describe('γ of rewards to come'),
      lambda: z
        .number()
        .min(0)
        .max(1)
        .default(0.95)
        .describe('λ of the advantages: 0 trusts the critic, 1 the rewards'),
      whiten: z.boolean().default(true).describe('advantages of a step get mean 0 and deviation 1'),
      whitenRewards: z.boolean().default(false).describe("tokens' rewards get deviation 1"),
      entropy: z.number().min(0).default(0).describe('weight of the entropy bonus; it needs all logits at once'),
      targetKl: z
        .number()
        .positive()
        .optional()
        .describe('end a step once the policy is 1.5 times so far, in nats a token, from the one that answered'),
    })
    .prefault({}),
  critic: z
    .object({
      kind: z
        .enum(criticKinds)
        .optional()
        .describe(
          'a network of its own, a head on the policy, or adapters beside those of the policy (default: own, or adapters with LoRA)',
        ),
      model: z
        .string()
        .optional()
        .describe('folder that one of its own begins as (default: the reward model, else the policy)'),
      rate: z
        .number()
        .positive()
        .optional()
        .describe("its learning rate, in those of the policy's (default: 1.5; of a shared one, a mere head, 50)"),
      coefficient: z
        .number()
        .positive()
        .default(0.5)
        .describe(
          'weight of its loss: against that of the policy where it is shared, else it matters to clipping only',
        ),
      detached: z.boolean().default(true).describe('the policy does not learn from the loss of a shared critic'),
      warmup: whole(0).default(0).describe('steps at the beginning in which only the critic learns'),
      clip: z.number().positive().default(0.2).describe('values trusted: those of before the step ± this'),
    })
    .prefault({}),
  ptx: z
    .object({
      data: z.string().optional().describe('texts that go on being learned beside (PPO-ptx)'),
      coefficient: z.number().positive().default(1).describe('weight of their loss, in nats a token'),
      rows: whole(1).default(8).describe('rows of them in an optimizer step'),
    })
    .prefault({}),
});
/** The options of `ppo`, with their defaults. */
export type PpoOptions = z.output<typeof ppoSchema>;
