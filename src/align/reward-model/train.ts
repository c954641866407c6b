/** The training of a reward model in a run's folder. */

import { join } from '../../node.ts';
import type { TrainParts } from '../../run/drive.ts';
import { diagnoseReward } from '../diagnosis/reward.ts';
import { recordTokens } from '../examples/token-rows.ts';
import { stepMetrics, type TrainedModel, trainModel } from '../training/train-model.ts';
import { type RewardLearner, type RewardStep, type RewardStepEvaluation, rewardEvaluationMetrics } from './reward.ts';

/**
 * The result of `trainReward`. For an ensemble, `model` has `member-…` folders. Without held-out comparisons, accuracy
 * is NaN.
 */
export interface RewardRun extends TrainedModel {
  /** Share of the held-out comparisons that the model predicts. */
  accuracy: number;
  /** Wilson's 95 % confidence interval of the accuracy. */
  interval: [low: number, high: number];
  /** Number of held-out comparisons that were measured. */
  n: number;
  /** Number of those that they were sampled from; absent if all were measured. */
  sampledFrom?: number;
  /** The accuracy in words, such as `good`. */
  verdict: string;
}

/** A row of samples.jsonl with an evaluation. */
export interface RewardEvaluationRow {
  kind: 'evaluation';
  step: number;
  evaluation: RewardStepEvaluation;
}

/** Trains a reward model in a run's folder (see `trainModel`). Returns undefined when the signal stops it. */
export function trainReward(learner: RewardLearner, parts: TrainParts<RewardStep>): Promise<RewardRun | undefined> {
  learner.keepFeatures?.(join(parts.run.folder, 'features'));
  return trainModel<RewardStepEvaluation, RewardStep, RewardRun>(learner, parts, {
    keepBest: learner.options.keepBest,
    diagnose: diagnoseReward,
    save: learner.saveModels,
    record: stepMetrics,
    recordEvaluation(step, evaluation) {
      if (step === 0) recordTokens(parts.run, learner.firstRows);
      parts.run.sample({ kind: 'evaluation', step, evaluation } satisfies RewardEvaluationRow);
      return rewardEvaluationMetrics(evaluation, learner.members.length > 1);
    },
    result({ evaluation }) {
      const { accuracy = Number.NaN, interval = [0, 1], n = 0, verdict = 'no data', sampledFrom } = evaluation ?? {};
      return { accuracy, interval, n, ...(sampledFrom !== undefined && { sampledFrom }), verdict };
    },
  });
}
