/** A training on preferences in a run's folder. */
import type { TrainParts } from '../../run/drive.ts';
import { diagnosePreference } from '../diagnosis/preference.ts';
import { recordTokens } from '../examples/token-rows.ts';
import { recordSamples } from '../training/samples.ts';
import { type TrainedModel, trainModel } from '../training/train-model.ts';
import type { PreferenceEvaluation } from './evaluation.ts';
import type { PreferenceLearner, PreferenceStep } from './learner.ts';
import type { PreferenceOptions } from './options.ts';

/** The result of `trainPreferences`. */
export interface PreferenceResult extends TrainedModel {
  /** Mean loss of the steps since the second-to-last evaluation, and the held-out loss (NaN without held-out data). */
  loss: { train: number; eval: number };
  /**
   * Share of held-out pairs in which the policy gives the chosen completion the higher reward; absent without pairs.
   */
  accuracy?: number;
  /** Mean reward of completions of the evaluation prompts before the first step and after the last, if there is a reward. */
  reward?: { before: number; after: number };
  /** Mean KL from the reference in the last evaluation, in nats per completion, if it had completions. */
  kl?: number;
  /** Steps taken. */
  steps: number;
}

/** The metrics of a step and of its evaluation, by name. */
export const preferenceMetrics = ({ loss, metrics, evaluation }: PreferenceStep): Record<string, number> => ({
  'loss/train': loss,
  ...metrics,
  ...(evaluation && evaluationMetrics(evaluation)),
});

function evaluationMetrics(evaluation: PreferenceEvaluation): Record<string, number> {
  const { loss, metrics, reward, error, kl, length, items, heldOut, sampledFrom, unknown } = evaluation;
  const all = {
    'loss/eval': loss,
    ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval/${name}`, value])),
    'eval/reward': reward,
    'reward/error': error,
    'eval/kl': kl,
    'eval/response/length': length,
    'data/items': items,
    'data/heldOut': heldOut,
    'data/heldOutOf': sampledFrom,
    'data/unknown': unknown,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** Trains on preferences in a run's folder (see `trainModel`). Returns undefined when the signal stops it. */
export function trainPreferences<O extends PreferenceOptions>(
  learner: PreferenceLearner<O>,
  parts: TrainParts<PreferenceStep>,
): Promise<PreferenceResult | undefined> {
  const { keepBest, dtype } = learner.options;
  return trainModel<PreferenceEvaluation, PreferenceStep, PreferenceResult>(learner, parts, {
    keepBest,
    diagnose: diagnosePreference,
    save: (folder) => learner.policy.save(folder, { dtype }),
    record: ({ evaluation: _, ...step }) => preferenceMetrics(step),
    recordEvaluation(step, evaluation) {
      if (step === 0) recordTokens(parts.run, learner.firstRows);
      recordSamples(parts.run, step, evaluation.samples);
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
