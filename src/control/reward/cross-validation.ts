/**
 * Cross-validation of a reward: how many of a teacher's judgments a reward model predicts that it has not learned from.
 * Where only the teacher knows what is better, nothing else says how good a learned reward is.
 *
 * A run's own reward model has learned from every comparison. So the comparisons are divided into five parts, and each
 * part is predicted by a fresh ensemble that is fitted to the other four.
 */
import { inTurns } from '../../node.ts';
import { type ChoiceModel, choiceLoss, choiceProbability } from '../../preference/choice-model.ts';
import { mean } from '../../run/intervals.ts';
import { createRewardEnsembleInParts } from './ensemble.ts';
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
  /** Mean loss of these judgments under the choice model, in nats; a coin's is 0.69. */
  loss: number;
  /**
   * Expected calibration error: by how much the probability of the likelier choice differs from the share of times that
   * it was right; mean over ten bins of the probability, weighted by their judgments.
   */
  calibrationError: number;
}

/** How good a reward is that was learned from comparisons. */
export interface LearnRewardMetrics {
  /** Comparisons that it learned from. */
  comparisons: number;
  /** Those of them that prefer one of the two clips. */
  decided: number;
  /** Share of the decided ones that the reward orders as they say. */
  trainAccuracy: number;
  /** The same of judgments that a reward has not learned from; absent if fewer than eight are decided. */
  heldOut?: CrossValidation;
}

const PARTS = 5;
/** Decided judgments from which a share of them says anything. */
const ENOUGH = 8;

/** Cross-validates a reward on comparisons; undefined if fewer than eight of them prefer one of the two. */
export async function crossValidate(
  comparisons: readonly FitComparison[],
  spaces: RewardSpaces,
  { reward, choice }: { reward: RewardOptions; choice: ChoiceModel },
  settings: { window: number; rows: number; seed: number; scale: InputScale },
): Promise<CrossValidation | undefined> {
  const decided = comparisons.filter(({ choice: [p, q] }) => p !== q);
  if (decided.length < ENOUGH) return undefined;
  const predictions: Prediction[] = [];
  let loss = 0;
  for (let part = 0; part < PARTS; part++) {
    const isTested = (i: number) => i % PARTS === part;
    const tested = comparisons.filter(({ choice: [p, q] }, i) => isTested(i) && p !== q);
    if (tested.length === 0) continue;
    const options = { ...reward, validation: 0 };
    const ensemble = await inTurns(createRewardEnsembleInParts(spaces, options, choice, settings));
    ensemble.setScale(settings.scale);
    await ensemble.fit(
      comparisons.filter((_, i) => !isTested(i)),
      { first: true },
    );
    const [first, second] = [0, 1].map((side) => ensemble.meanReturns(tested.map(({ segments }) => segments[side])));
    tested.forEach(({ choice: [p, q] }, i) => {
      const likelier = Math.max(...[1, -1].map((sign) => choiceProbability(choice, sign * first[i], sign * second[i])));
      predictions.push({ probability: likelier, right: (1 + Math.sign(first[i] - second[i]) * Math.sign(p - q)) / 2 });
      loss += choiceLoss(choice, first[i], second[i], [p, q]) / decided.length;
    });
    ensemble[Symbol.dispose]();
  }
  const accuracy = mean(predictions.map(({ right }) => right));
  return { decided: decided.length, accuracy, loss, calibrationError: calibrationError(predictions) };
}

/** The probability of the likelier choice, and whether it was made: 1, 0, or half for a tie. */
interface Prediction {
  probability: number;
  right: number;
}

const BINS = 10;

function calibrationError(predictions: readonly Prediction[]): number {
  let total = 0;
  for (let bin = 0; bin < BINS; bin++) {
    const inBin = predictions.filter(
      ({ probability }) => Math.min(BINS - 1, Math.floor((2 * probability - 1) * BINS)) === bin,
    );
    if (inBin.length === 0) continue;
    const [sure, right] = (['probability', 'right'] as const).map((name) => mean(inBin.map((one) => one[name])));
    total += (Math.abs(sure - right) * inBin.length) / predictions.length;
  }
  return total;
}
