/** A training on preferences in a run's folder. */
import type { TrainParts } from '../../run/index.ts';
import { recordAnswers } from '../training/samples.ts';
import { type TrainedModel, trainModel } from '../training/train-model.ts';
import type { PreferenceEvaluation } from './evaluation.ts';
import type { PreferenceLearner, PreferenceStep } from './learner.ts';
import type { PreferenceOptions } from './options.ts';

/** What a training on preferences comes to. */
export interface PreferenceResult extends TrainedModel {
  /** Of the steps since the evaluation before the last, and held out (NaN where nothing is). */
  loss: { train: number; eval: number };
  /** Share of the held-out pairs that the policy rewards as they were chosen; absent without pairs. */
  accuracy?: number;
  /** Mean reward of the answers to held-out prompts before the first step and after the last, where there is a reward. */
  reward?: { before: number; after: number };
  /** Mean log π − log π_ref of the last evaluation's answers, in nats, where any were given. */
  kl?: number;
  steps: number;
}

/** The metrics of a step and of its evaluation, by their names. */
export const preferenceMetrics = ({ loss, metrics, evaluation }: PreferenceStep): Record<string, number> => ({
  'loss/train': loss,
  ...metrics,
  ...(evaluation && evaluationMetrics(evaluation)),
});

function evaluationMetrics({ loss, metrics, reward, kl, length }: PreferenceEvaluation): Record<string, number> {
  const all = {
    'loss/eval': loss,
    ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval/${name}`, value])),
    'eval/reward': reward,
    'eval/kl': kl,
    'eval/response/length': length,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** As `trainModel` does. */
export function trainPreferences<O extends PreferenceOptions>(
  learner: PreferenceLearner<O>,
  parts: TrainParts<PreferenceStep>,
): Promise<PreferenceResult | undefined> {
  const { keepBest, dtype } = learner.options;
  return trainModel<PreferenceEvaluation, PreferenceStep, PreferenceResult>(learner, parts, {
    keepBest,
    save: (folder) => learner.policy.save(folder, { dtype }),
    record: ({ evaluation: _, ...step }) => preferenceMetrics(step),
    recordEvaluation(step, evaluation) {
      recordAnswers(parts.run, step, evaluation.samples);
      return evaluationMetrics(evaluation);
    },
    result({ step, recentLoss, evaluation }) {
      const { loss = Number.NaN, metrics, reward, kl } = evaluation!;
      const accuracy = metrics['rewards/accuracies'];
      const before = learner.before()?.reward;
      return {
        loss: { train: recentLoss, eval: loss },
        ...(accuracy !== undefined && { accuracy }),
        ...(reward !== undefined && before !== undefined && { reward: { before, after: reward } }),
        ...(kl !== undefined && { kl }),
        steps: step,
      };
    },
  });
}
