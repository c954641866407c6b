/**
 * Cross-validation of a reward: how many of a teacher's judgments a reward model predicts that it has not learned from.
 * Where only the teacher knows what is better, nothing else says how good a learned reward is.
 *
 * A run's own reward model has learned from every comparison. So the comparisons are divided into five parts, and each
 * part is predicted by a fresh ensemble that is fitted to the other four.
 */
import type { ChoiceModel } from '../../preference/choice-model.ts';
import { createRewardEnsemble } from './ensemble.ts';
import type { FitComparison } from './fit.ts';
import type { InputScale } from './inputs.ts';
import type { RewardSpaces } from './model.ts';
import type { RewardOptions } from './options.ts';

/** Judgments that were predicted without having been learned from. */
export interface CrossValidation {
  /** Decided judgments, those that prefer one of the two. */
  decided: number;
  /** Share of them whose preferred segment has the higher predicted return; a tie counts half. */
  accuracy: number;
}

const PARTS = 5;
/** Decided judgments from which a share of them says anything. */
const ENOUGH = 8;

/** Cross-validates a reward on comparisons; undefined if fewer than eight of them prefer one of the two. */
export function crossValidate(
  comparisons: readonly FitComparison[],
  spaces: RewardSpaces,
  { reward, choice }: { reward: RewardOptions; choice: ChoiceModel },
  settings: { window: number; rows: number; seed: number; scale: InputScale },
): CrossValidation | undefined {
  const decided = comparisons.filter(({ choice: [p, q] }) => p !== q);
  if (decided.length < ENOUGH) return undefined;
  let right = 0;
  for (let part = 0; part < PARTS; part++) {
    const isTested = (i: number) => i % PARTS === part;
    const tested = comparisons.filter(({ choice: [p, q] }, i) => isTested(i) && p !== q);
    if (tested.length === 0) continue;
    const ensemble = createRewardEnsemble(spaces, { ...reward, validation: 0, pseudo: 0 }, choice, settings);
    ensemble.setScale(settings.scale);
    ensemble.fit(
      comparisons.filter((_, i) => !isTested(i)),
      { first: true },
    );
    const [first, second] = [0, 1].map((side) => ensemble.meanReturns(tested.map(({ segments }) => segments[side])));
    tested.forEach(({ choice: [p, q] }, i) => {
      right += (1 + Math.sign(first[i] - second[i]) * Math.sign(p - q)) / 2;
    });
    ensemble[Symbol.dispose]();
  }
  return { decided: decided.length, accuracy: right / decided.length };
}
