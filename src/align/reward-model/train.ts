/** The training of a reward model in a run's folder. */
import type { TrainParts } from '../../run/index.ts';
import { stepMetrics, type TrainedModel, trainModel } from '../training/train-model.ts';
import { type RewardLearner, type RewardStep, type RewardStepEvaluation, rewardEvaluationMetrics } from './reward.ts';

/** What the training of a reward model comes to: `model` has `member-…` folders of an ensemble. Without held-out comparisons, accuracy is NaN. */
export interface RewardRun extends TrainedModel {
  /** Share of the held-out comparisons that it decides as was done. */
  accuracy: number;
  /** Wilson's, of 95 %. */
  interval: [low: number, high: number];
  /** Held-out comparisons. */
  n: number;
  verdict: string;
}

/** The row of samples.jsonl with the whole of an evaluation. */
export interface RewardEvaluationRow {
  kind: 'evaluation';
  step: number;
  evaluation: RewardStepEvaluation;
}

/** As `trainModel` does. */
export function trainReward(learner: RewardLearner, parts: TrainParts<RewardStep>): Promise<RewardRun | undefined> {
  return trainModel<RewardStepEvaluation, RewardStep, RewardRun>(learner, parts, {
    keepBest: learner.options.keepBest,
    save: learner.saveModels,
    record: stepMetrics,
    recordEvaluation(step, evaluation) {
      parts.run.sample({ kind: 'evaluation', step, evaluation } satisfies RewardEvaluationRow);
      return rewardEvaluationMetrics(evaluation, learner.members.length > 1);
    },
    result({ evaluation }) {
      const { accuracy = Number.NaN, interval = [0, 1], n = 0, verdict = 'nothing to judge by' } = evaluation ?? {};
      return { accuracy, interval, n, verdict };
    },
  });
}
