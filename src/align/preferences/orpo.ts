/**
 * ORPO: fine-tunes on chosen completions and at the same time raises their odds over the rejected ones, in one run
 * without a reference (Hong et al. 2024, eq. 6–7):
 *
 *   L = −log π(y_w) − β log σ(log odds(y_w) − log odds(y_l)),    odds(y) = p / (1 − p),  p = π(y)^(1/tokens)
 *
 * The first term is a mean over tokens. β is the paper's λ. TRL learns the prompt too, as `learnPrompts` does; a policy
 * then comes to write prompts itself now and then, in place of completions (docs/lab/default-kl.md).
 *
 * Run it: heed orpo --model HuggingFaceTB/SmolLM2-135M --data comparisons.jsonl
 */
import { z } from 'zod';
import type { Tensor } from '../../engine/graph.ts';
import { add, div, exp, log, logSigmoid, minimum, mul, neg, sub, tanh } from '../../engine/ops/elementwise.ts';
import { positive } from '../../options.ts';
import { type Opener, openerOf } from '../training/input.ts';
import type { PreferenceLearner } from './learner.ts';
import { type PreferenceLoss, pairs } from './loss.ts';
import { referenceFreeSchema } from './options.ts';
import { createPreferences, type PairInput, type PreferenceTraining, preferenceTraining } from './setup.ts';

/** The loss of pairs of completions. The reward of a completion is β times its log-probability per token. */
export function orpoLoss({ beta }: { beta: number }): PreferenceLoss {
  return ({ logP, tokens, likely, perToken }) => {
    const perCompletionToken = div(logP, tokens);
    const [odds, rejectedOdds] = pairs(logOdds(perCompletionToken));
    const [fit] = pairs(mul(likely, perToken));
    return {
      loss: neg(add(fit, mul(logSigmoid(sub(odds, rejectedOdds)), beta))),
      rewards: mul(perCompletionToken, beta),
    };
  };
}

/** log(p / (1 − p)) from log p, by 1 − e^x = −tanh(x/2)(e^x + 1), which is exact for p near 1. */
function logOdds(logP: Tensor): Tensor {
  const x = minimum(logP, -1e-6);
  return sub(x, log(mul(neg(tanh(mul(x, 0.5))), add(exp(x), 1))));
}

/** Schema of the options of `orpo`: types, ranges, defaults and help texts. */
export const orpoSchema = referenceFreeSchema.extend({
  beta: positive()
    .default(1)
    .describe('weight of the odds, relative to the likelihood of chosen completions (λ in the paper)'),
  learnPrompts: z
    .boolean()
    .default(false)
    .describe('learn the prompts of chosen completions too, as TRL does; the policy may then write prompts itself'),
});
/** The options of `orpo`, with their defaults. */
export type OrpoOptions = z.output<typeof orpoSchema>;
/** The input of `orpo`. */
export type OrpoInput = PairInput<z.input<typeof orpoSchema>>;

/** Opens the learner that `orpo` runs. */
export const createOrpo: Opener<OrpoInput, PreferenceLearner<OrpoOptions>> = openerOf(orpoSchema, (options, live) =>
  createPreferences('orpo', options, live, {
    loss: orpoLoss(options),
    wholeTexts: options.learnPrompts,
    paired: true,
  }),
);

/**
 * Trains a model on pairs without a reference, by ORPO, in place (Hong et al. 2024).
 *
 *     const { model } = await orpo({ model: 'reviews-base', data: [{ prompt, chosen, rejected }, …] });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function orpo(input: OrpoInput): PreferenceTraining {
  return preferenceTraining(createOrpo, input);
}
