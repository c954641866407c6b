/** A training of a language model by maximum likelihood in a run's folder. */
import type { Training, TrainParts } from '../../run/index.ts';
import type { LanguageTrainingOptions } from '../training/options.ts';
import { recordAnswers } from '../training/samples.ts';
import { stepMetrics, type TrainedModel, trainModel } from '../training/train-model.ts';
import { type ModelResult, trainingOf } from '../training/verb.ts';
import type { LanguageEvaluation, LanguageLearner, LanguageStep } from './learner.ts';

/** What a training of a language model comes to. */
export interface LanguageResult extends TrainedModel {
  /** Nats a token: of the steps since the evaluation before the last, and held out (NaN where nothing is). */
  loss: { train: number; eval: number };
  /** Held out. */
  perplexity: number;
  /** Tokens that were no padding, evaluations left out. */
  tokensPerSecond: number;
  /** What else is told of the last model: of the embedded world, how good and how well formed its texts are. */
  measures?: Record<string, number>;
}

/** The metrics of a step and of its evaluation, by their names. */
export const languageMetrics = (step: LanguageStep): Record<string, number> => ({
  ...stepMetrics(step),
  ...(step.evaluation && evaluationMetrics(step.evaluation)),
});

const evaluationMetrics = ({ loss, perplexity, measures }: LanguageEvaluation): Record<string, number> => ({
  ...(loss !== undefined && { 'loss/eval': loss, perplexity: perplexity! }),
  ...measures,
});

/** What a verb that trains by likelihood returns. */
export type LanguageTraining = Training<LanguageStep, ModelResult>;

/** The training of a learner that `create` makes of an input. */
export const languageTraining = <I extends { signal?: AbortSignal }, O extends LanguageTrainingOptions>(
  create: (input: I) => Promise<LanguageLearner<O>>,
  input: I,
): LanguageTraining =>
  trainingOf(
    () => create(input),
    input.signal,
    languageMetrics,
    (learner) => ({ model: learner.finish() }),
  );

/** As `trainModel` does. */
export function trainLanguageModel<O extends LanguageTrainingOptions>(
  learner: LanguageLearner<O>,
  parts: TrainParts<LanguageStep>,
): Promise<LanguageResult | undefined> {
  const { keepBest, dtype } = learner.options;
  return trainModel<LanguageEvaluation, LanguageStep, LanguageResult>(learner, parts, {
    keepBest,
    save: (folder) => learner.saveModel(folder, { dtype }),
    record: stepMetrics,
    recordEvaluation(step, evaluation) {
      recordAnswers(parts.run, step, evaluation.samples);
      return evaluationMetrics(evaluation);
    },
    result({ evaluation, recentLoss, tokensPerSecond }) {
      const { loss = Number.NaN, perplexity = Number.NaN, measures } = evaluation!;
      return {
        loss: { train: recentLoss, eval: loss },
        perplexity,
        tokensPerSecond,
        ...(Object.keys(measures).length > 0 && { measures }),
      };
    },
  });
}
