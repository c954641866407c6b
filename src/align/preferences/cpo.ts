/**
 * Preference losses without a reference, which compare the policy's own log-probabilities. With r(y) = log π(y), or the
 * same per token:
 *
 * - `sigmoid` −log σ(β(r_w − r_l)), `hinge` max(0, 1 − β(r_w − r_l)) (Xu et al. 2024, CPO, eq. 5; Zhao et al. 2023)
 * - `ipo` (r_w − r_l − 1/2β)², per token
 * - `simpo` −log σ(β(r_w − r_l) − γ), per token (Meng et al. 2024, SimPO, eq. 6); with α > 0, r = (1 − π^−α)/α (Gupta
 *   et al. 2025, AlphaPO, eq. 7)
 *
 * To each loss −λ log π(y_w), the mean over tokens, is added, so that chosen completions do not become less likely. The
 * defaults are those of SimPO: γ = ½, λ = 0; CPO is `sigmoid` with β = 0.1 and λ = 1. Label smoothing is that of DPO.
 *
 * Run it: heed cpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data comparisons.jsonl
 */
import { z } from 'zod';
import type { Tensor } from '../../engine/graph.ts';
import { div, exp, mul, relu, square, sub } from '../../engine/ops/elementwise.ts';
import { numberFrom, positive } from '../../options.ts';
import { type Opener, openerOf } from '../training/input.ts';
import type { PreferenceLearner } from './learner.ts';
import { type PreferenceLoss, pairs, smoothed } from './loss.ts';
import { referenceFreeSchema } from './options.ts';
import { createPreferences, type PairInput, type PreferenceTraining, preferenceTraining } from './setup.ts';

const cpoLosses = ['sigmoid', 'hinge', 'ipo', 'simpo'] as const;

/** What `cpoLoss` computes: which loss, and its parameters. */
export interface CpoLossOptions {
  /** Name of the loss; the head of cpo.ts has the formulas. */
  loss: (typeof cpoLosses)[number];
  /** β: scale of the rewards. */
  beta: number;
  /** γ of `simpo`: the target margin of the chosen completion. */
  gamma: number;
  /** α of `simpo` (AlphaPO); 0 makes r = log π. */
  alpha: number;
  /** λ: weight of the likelihood of the chosen completion; 0: off. */
  likelihood: number;
  /** ε: the assumed share of wrong labels, from 0 up to ½. */
  labelSmoothing: number;
}

/** The loss of pairs of completions. The reward of a completion is β r. */
export function cpoLoss({
  loss: kind,
  beta,
  gamma,
  alpha,
  likelihood,
  labelSmoothing,
}: CpoLossOptions): PreferenceLoss {
  return ({ logP, tokens, likely, perToken }) => {
    const perCompletionToken = () => div(logP, tokens);
    const rewards =
      kind === 'ipo' || kind === 'simpo' ? bent(perCompletionToken(), kind === 'simpo' ? alpha : 0) : logP;
    const margin = sub(...pairs(rewards));
    const scaled = mul(margin, beta);
    const byName = {
      sigmoid: () => smoothed(scaled, labelSmoothing),
      hinge: () => relu(sub(1, scaled)),
      ipo: () => square(sub(margin, 1 / (2 * beta))),
      simpo: () => smoothed(sub(scaled, gamma), labelSmoothing),
    };
    const loss = byName[kind]();
    return {
      loss: likelihood === 0 ? loss : sub(loss, mul(pairs(mul(likely, perToken))[0], likelihood)),
      rewards: mul(rewards, beta),
    };
  };
}

/** (1 − π^−α)/α from log π; for α = 0, log π. */
const bent = (logP: Tensor, alpha: number): Tensor =>
  alpha === 0 ? logP : mul(sub(1, exp(mul(logP, -alpha))), 1 / alpha);

/** Schema of the options of `cpo`: types, ranges, defaults and help texts. */
export const cpoSchema = referenceFreeSchema.extend({
  loss: z.enum(cpoLosses).default('simpo').describe('loss of a pair; see docs/reference/preference-losses.md'),
  beta: positive().default(2).describe('β: scale of the rewards; for sigmoid and hinge, 0.1 is usual'),
  gamma: numberFrom(0).default(0.5).describe('γ of simpo: target margin of the chosen completion'),
  alpha: numberFrom(0).default(0).describe('α of simpo: curvature of the reward (AlphaPO); 0: off'),
  likelihood: numberFrom(0).default(0).describe('λ: weight of the likelihood of chosen completions, 1 in CPO; 0: off'),
  labelSmoothing: numberFrom(0).lt(0.5).default(0).describe('assumed share of wrong labels'),
});
/** The options of `cpo`, with their defaults. */
export type CpoOptions = z.output<typeof cpoSchema>;
/** The input of `cpo`. */
export type CpoInput = PairInput<z.input<typeof cpoSchema>>;

/** Opens the learner that `cpo` runs. */
export const createCpo: Opener<CpoInput, PreferenceLearner<CpoOptions>> = openerOf(cpoSchema, (options, live) =>
  createPreferences('cpo', options, live, { loss: cpoLoss(options), paired: true }),
);

/**
 * Trains a model on pairs without a reference, by CPO, SimPO or AlphaPO, in place (Xu et al. 2024; Meng et al. 2024).
 *
 *     const { model } = await cpo({ model: 'reviews-base', data: [{ prompt, chosen, rejected }, …] });
 *
 * Rejects with a HeedError that names the option or the row that is wrong.
 */
export function cpo(input: CpoInput): PreferenceTraining {
  return preferenceTraining(createCpo, input);
}
