/**
 * BCO: a classifier of desirable and undesirable completions, whose logit is the policy's own reward r = β log(π/π_ref)
 * (Jung et al. 2024, eq. 9–10). Completions are rated one by one:
 *
 *   L = −log σ(r − δ) of a desirable completion, −log σ(δ − r) of an undesirable one,   δ the mean of all rewards so far
 *
 * Not implemented: the paper's weights for data whose desirable and undesirable completions have different prompts
 * (§3.3).
 *
 * Run it: heed bco --model HuggingFaceTB/SmolLM2-135M-Instruct --data rated.jsonl
 */
import type { z } from 'zod';
import { logSigmoid, mul, neg, sub } from '../../engine/ops/elementwise.ts';
import { positive } from '../../options.ts';
import { type Opener, openerOf } from '../training/input.ts';
import type { PreferenceLearner } from './learner.ts';
import { logRatios, meanReward, type PreferenceLoss } from './loss.ts';
import { preferenceSchema } from './options.ts';
import { createPreferences, type PreferenceTraining, preferenceTraining, type RatedInput } from './setup.ts';

/** The loss of rated completions. The reward of a completion is r. */
export function bcoLoss({ beta }: { beta: number }): PreferenceLoss {
  return (completions) => {
    const rewards = mul(logRatios(completions), beta);
    const sign = sub(mul(completions.desirable, 2), 1);
    return { loss: neg(logSigmoid(mul(sign, sub(rewards, meanReward(completions, rewards))))), rewards };
  };
}

/** Schema of the options of `bco`: types, ranges, defaults and help texts. */
export const bcoSchema = preferenceSchema.extend({
  beta: positive().default(0.1).describe('β: strength of the pull toward the reference'),
});
/** The options of `bco`, with their defaults. */
export type BcoOptions = z.output<typeof bcoSchema>;
/** The input of `bco`. */
export type BcoInput = RatedInput<z.input<typeof bcoSchema>>;

/** Opens the learner that `bco` runs. */
export const createBco: Opener<BcoInput, PreferenceLearner<BcoOptions>> = openerOf(bcoSchema, (options, live) =>
  createPreferences('bco', options, live, { loss: bcoLoss(options), paired: false }),
);

/**
 * Trains a model on completions that are desirable or not, by BCO, in place (Jung et al. 2024).
 *
 *     const { model } = await bco({ model: 'reviews-base', data: [{ prompt, completion, label: true }, …] });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function bco(input: BcoInput): PreferenceTraining {
  return preferenceTraining(createBco, input);
}
