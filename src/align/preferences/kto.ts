/**
 * KTO: learns from completions rated desirable or not, by a model of how people weigh gains and losses (Ethayarajh et
 * al. 2024, eq. 8). With r = β log(π/π_ref) of a completion and z = β max(0, KL of the policy from the reference):
 *
 * - `kto` λ_D (1 − σ(r − z)) of a desirable completion, λ_U (1 − σ(z − r)) of an undesirable one
 * - `apo_zero_unpaired` 1 − σ(r) and σ(r), without the KL (D'Oosterlinck et al. 2024)
 *
 * As in the paper, the KL is estimated from the prompts of the batch with completions of other prompts, without a
 * gradient. Here each example has one such partner for the whole run: the next one in the data with another prompt.
 *
 * Run it: heed kto --model HuggingFaceTB/SmolLM2-135M-Instruct --data rated.jsonl
 */
import { z } from 'zod';
import { add, mul, sigmoid, sub } from '../../engine/ops/elementwise.ts';
import { numberFrom, positive } from '../../options.ts';
import { type Opener, openerOf } from '../training/input.ts';
import type { PreferenceLearner } from './learner.ts';
import { logRatios, type PreferenceLoss } from './loss.ts';
import { preferenceSchema } from './options.ts';
import { createPreferences, type PreferenceTraining, preferenceTraining, type RatedInput } from './setup.ts';

const ktoLosses = ['kto', 'apo_zero_unpaired'] as const;

/** What `ktoLoss` computes: which loss, and its parameters. */
export interface KtoLossOptions {
  /** Name of the loss; the head of kto.ts has the formulas. */
  loss: (typeof ktoLosses)[number];
  /** β: strength of the pull toward the reference. */
  beta: number;
  /** λ_D: weight of desirable completions. */
  desirableWeight: number;
  /** λ_U: weight of undesirable completions. */
  undesirableWeight: number;
}

/** The loss of rated completions. The reward of a completion is r. */
export function ktoLoss({ loss, beta, desirableWeight, undesirableWeight }: KtoLossOptions): PreferenceLoss {
  return (completions) => {
    const rewards = mul(logRatios(completions), beta);
    const { desirable } = completions;
    const sign = sub(mul(desirable, 2), 1);
    const gain = mul(sign, loss === 'kto' ? sub(rewards, mul(completions.kl, beta)) : rewards);
    const weight = add(mul(desirable, desirableWeight - undesirableWeight), undesirableWeight);
    return { loss: mul(weight, sub(1, sigmoid(gain))), rewards };
  };
}

/** Schema of the options of `kto`: types, ranges, defaults and help texts. */
export const ktoSchema = preferenceSchema.extend({
  loss: z.enum(ktoLosses).default('kto').describe('loss with the KL as the reference point, or without a KL'),
  beta: positive().default(0.1).describe('β: strength of the pull toward the reference'),
  desirableWeight: numberFrom(0).default(1).describe('λ_D: weight of desirable completions'),
  undesirableWeight: numberFrom(0).default(1).describe('λ_U: weight of undesirable completions'),
});
/** The options of `kto`, with their defaults. */
export type KtoOptions = z.output<typeof ktoSchema>;
/** The input of `kto`. */
export type KtoInput = RatedInput<z.input<typeof ktoSchema>>;

/** Opens the learner that `kto` runs. */
export const createKto: Opener<KtoInput, PreferenceLearner<KtoOptions>> = openerOf(ktoSchema, (options, live) =>
  createPreferences('kto', options, live, { loss: ktoLoss(options), paired: false }),
);

/**
 * Trains a model on completions that are desirable or not, by KTO, in place (Ethayarajh et al. 2024).
 *
 *     const { model } = await kto({ model: 'reviews-base', data: [{ prompt, completion, label: true }, …] });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function kto(input: KtoInput): PreferenceTraining {
  return preferenceTraining(createKto, input);
}
