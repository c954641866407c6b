/**
 * Direct preference optimization (Rafailov et al. 2023): trains a policy on pairs without a reward model. The optimal
 * policy for a reward satisfies reward = β log(π/π_ref), up to a constant of the prompt, so that the policy is its own
 * reward model:
 *
 *   L = −log σ(β (log π(y_w)/π_ref(y_w) − log π(y_l)/π_ref(y_l)))
 *
 * This loss and its variants are in dpo-loss.ts. Length desensitization (Liu et al. 2024, LD-DPO, eq. 9): tokens of a
 * completion beyond the length of the other one of its pair have the weight `lengthAlpha`. Departures from the paper:
 * the reference's log-probabilities are computed once, before the first step; AdamW replaces RMSprop.
 * docs/reference/dpo.md has the settings and results.
 *
 * Run it: heed dpo --model runs/sft/model --data comparisons.jsonl
 */
import { z } from 'zod';
import { numberFrom, positive } from '../../options.ts';
import type { NameOr } from '../../registry.ts';
import { type Opener, openerOf } from '../training/input.ts';
import { type DpoLoss, divergences, dpoLoss, type PairLoss, pairLosses } from './dpo-loss.ts';
import type { PreferenceLearner } from './learner.ts';
import { preferenceSchema } from './options.ts';
import { createPreferences, type PairInput, type PreferenceTraining, preferenceTraining } from './setup.ts';

type Loss = NameOr<PairLoss, DpoLoss>;

/** The losses of an option: a list, one loss, or names separated by commas. */
const lossesIn = (option: Loss | readonly Loss[]): readonly Loss[] => {
  if (typeof option !== 'string') return typeof option === 'function' ? [option] : option;
  return option.split(',').map((name) => name.trim());
};
const isLoss = (loss: unknown) => (typeof loss === 'string' ? pairLosses.has(loss) : typeof loss === 'function');

/** Schema of the options of `dpo`: types, ranges, defaults and help texts. */
export const dpoSchema = preferenceSchema
  .extend({
    loss: z
      .custom<Loss | readonly Loss[]>(
        (value) => {
          const losses: unknown[] = typeof value === 'string' ? [...lossesIn(value)] : [value].flat();
          return losses.length > 0 && losses.every(isLoss);
        },
        { error: () => `expected one or several, separated by commas, of ${pairLosses.names().join(', ')}` },
      )
      .default('sigmoid')
      .describe(
        `one or several losses to add up, separated by commas: ${pairLosses.names().join(', ')}; in a program, also functions`,
      )
      .meta({ type: 'string' }),
    lossWeights: z.array(z.number()).optional().describe('weight of each loss (default: 1 each)'),
    beta: positive().default(0.1).describe('β: strength of the pull toward the reference'),
    labelSmoothing: numberFrom(0).lt(0.5).default(0).describe('assumed share of wrong labels'),
    divergence: z.enum(divergences).default('reverse_kl').describe('divergence between policy and reference'),
    divergenceAlpha: z.number().default(0.5).describe('α of alpha_divergence; not 1'),
    discopopTemperature: positive().default(0.05).describe('τ of discopop'),
    lengthAlpha: numberFrom(0)
      .max(1)
      .default(1)
      .describe('weight of tokens beyond the length of the other completion (LD-DPO); 1: off'),
    weighting: z.boolean().default(false).describe('weight pairs by their likelihood under the policy (WPO)'),
  })
  .refine(({ loss, lossWeights }) => !lossWeights || lossWeights.length === lossesIn(loss).length, {
    path: ['lossWeights'],
    message: 'expected a weight for each loss',
  })
  .refine(({ loss, labelSmoothing }) => labelSmoothing > 0 || !lossesIn(loss).includes('exo_pair'), {
    path: ['labelSmoothing'],
    message: 'expected more than 0 with exo_pair',
  })
  .refine(({ divergence, divergenceAlpha }) => divergence !== 'alpha_divergence' || divergenceAlpha !== 1, {
    path: ['divergenceAlpha'],
    message: 'expected a number other than 1; for 1, use reverse_kl',
  });
/** The options of `dpo`, with their defaults. */
export type DpoOptions = z.output<typeof dpoSchema>;
/** The input of `dpo`. */
export type DpoInput = PairInput<z.input<typeof dpoSchema>>;

/** Opens the learner that `dpo` runs. */
export const createDpo: Opener<DpoInput, PreferenceLearner<DpoOptions>> = openerOf(dpoSchema, (options, live) => {
  const loss = dpoLoss({
    losses: lossesIn(options.loss),
    weights: options.lossWeights,
    beta: options.beta,
    labelSmoothing: options.labelSmoothing,
    divergence: options.divergence,
    alpha: options.divergenceAlpha,
    temperature: options.discopopTemperature,
    weighting: options.weighting,
  });
  return createPreferences('dpo', options, live, { loss, tailWeight: options.lengthAlpha, paired: true });
});

/**
 * Trains a model on pairs by DPO, in place, one optimizer step at a time (Rafailov et al. 2023).
 *
 *     const { model, metrics } = await dpo({ model: 'reviews-base', data: [{ prompt, chosen, rejected }, …] });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function dpo(input: DpoInput): PreferenceTraining {
  return preferenceTraining(createDpo, input);
}
