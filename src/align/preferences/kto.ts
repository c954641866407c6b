/**
 * KTO: answers that are wanted or not, each on its own, by how people weigh gains and losses (Ethayarajh et al. 2024, eq. 8). With
 * r = β log(π/π_ref) of an answer and z = β max(0, KL of the policy from the reference):
 *
 * - `kto` λ_D (1 − σ(r − z)) of a wanted answer, λ_U (1 − σ(z − r)) of another
 * - `apo_zero_unpaired` 1 − σ(r) and σ(r): no KL (D'Oosterlinck et al. 2024)
 *
 * As in the paper, the KL is estimated from the batch's prompts with the answers to other prompts, without a gradient; here each example
 * has one such partner for the whole training, the next in the data with another prompt.
 *
 * Run it: heed kto --model HuggingFaceTB/SmolLM2-135M-Instruct --data rated.jsonl
 */
import { z } from 'zod';
import { add, mul, sigmoid, sub } from '../../engine/index.ts';
import { learnerOf, type Opener } from '../training/input.ts';
import type { PreferenceLearner } from './learner.ts';
import { logRatios, type PreferenceLoss } from './loss.ts';
import { preferenceSchema } from './options.ts';
import { createPreferences, type PreferenceTraining, preferenceTraining, type RatedInput } from './setup.ts';

const ktoLosses = ['kto', 'apo_zero_unpaired'] as const;

export interface KtoLossOptions {
  loss: (typeof ktoLosses)[number];
  beta: number;
  /** λ_D and λ_U above. */
  desirableWeight: number;
  undesirableWeight: number;
}

/** The loss of answers on their own; an answer's reward is r. */
export function ktoLoss({ loss, beta, desirableWeight, undesirableWeight }: KtoLossOptions): PreferenceLoss {
  return (answers) => {
    const rewards = mul(logRatios(answers), beta);
    const { desirable } = answers;
    const sign = sub(mul(desirable, 2), 1);
    const gain = mul(sign, loss === 'kto' ? sub(rewards, mul(answers.kl, beta)) : rewards);
    const weight = add(mul(desirable, desirableWeight - undesirableWeight), undesirableWeight);
    return { loss: mul(weight, sub(1, sigmoid(gain))), rewards };
  };
}

export const ktoSchema = preferenceSchema.extend({
  loss: z.enum(ktoLosses).default('kto').describe('with a KL to compare to, or without'),
  beta: z.number().positive().default(0.1).describe('how firmly the reference holds the policy'),
  desirableWeight: z.number().min(0).default(1).describe('of answers that are wanted (λ_D)'),
  undesirableWeight: z.number().min(0).default(1).describe('of answers that are not (λ_U)'),
});
/** The options of `kto`, with their defaults. */
export type KtoOptions = z.output<typeof ktoSchema>;
/** The input of `kto`. */
export type KtoInput = RatedInput<z.input<typeof ktoSchema>>;

/** A learner by KTO: what `kto` runs. */
export const createKto: Opener<KtoInput, PreferenceLearner<KtoOptions>> = learnerOf(ktoSchema, (options, live) =>
  createPreferences('kto', options, live, { loss: ktoLoss(options), paired: false }),
);

/**
 * Trains a model on completions that are wanted or not, by KTO, in place (Ethayarajh et al. 2024).
 *
 *     const { model } = await kto({ model: 'reviews-base', data: [{ prompt, completion, label: true }, …] });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function kto(input: KtoInput): PreferenceTraining {
  return preferenceTraining(createKto, input);
}
