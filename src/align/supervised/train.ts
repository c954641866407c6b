/** The training of a language model by maximum likelihood in a run's folder. */

import type { TrainParts } from '../../run/drive.ts';
import type { Training } from '../../run/training.ts';
import { diagnoseSupervised } from '../diagnosis/supervised.ts';
import { recordTokens } from '../examples/token-rows.ts';
import type { LanguageTrainingOptions } from '../training/options.ts';
import { recordSamples } from '../training/samples.ts';
import { stepMetrics, type TrainedModel, trainModel } from '../training/train-model.ts';
import { type ModelResult, trainedModel, trainingOf } from '../training/verb.ts';
import type { LanguageEvaluation, LanguageLearner, LanguageStep } from './learner.ts';

/** The result of `trainLanguageModel`. */
export interface LanguageResult extends TrainedModel {
  /** Nats per token: of the steps since the second-to-last evaluation, and held out (NaN without held-out data). */
  loss: { train: number; eval: number };
  /** Perplexity on held-out data; NaN without any. */
  perplexity: number;
  /** Tokens per second, without padding and evaluations. */
  tokensPerSecond: number;
  /** Further metrics of the last evaluation; in the embedded world, the true reward and the quality of texts. */
  measures?: Record<string, number>;
}

/** The metrics of a step and of its evaluation, by name. */
export const languageMetrics = (step: LanguageStep): Record<string, number> => ({
  ...stepMetrics(step),
  ...(step.evaluation && evaluationMetrics(step.evaluation)),
});

const evaluationMetrics = ({
  loss,
  perplexity,
  interval,
  n,
  sampledFrom,
  measures,
}: LanguageEvaluation): Record<string, number> => ({
  ...(loss !== undefined && { 'loss/eval': loss }),
  ...(interval && { 'loss/low': interval[0], 'loss/high': interval[1] }),
  ...(perplexity !== undefined && { perplexity }),
  ...(n !== undefined && { 'data/heldOut': n }),
  ...(sampledFrom !== undefined && { 'data/heldOutOf': sampledFrom }),
  ...measures,
});

/** What `sft` and `pretrain` return: await it for its result, or iterate it for its steps. */
export type LanguageTraining = Training<LanguageStep, ModelResult>;

/** The training of a learner that `create` opens. */
export const languageTraining = <I extends { signal?: AbortSignal }, O extends LanguageTrainingOptions>(
  create: (input: I) => Promise<LanguageLearner<O>>,
  input: I,
): LanguageTraining =>
  trainingOf(create, input, languageMetrics, (learner, rows) => ({
    ...trainedModel(learner.trained, learner.finish),
    diagnosis: diagnoseSupervised(rows),
  }));

/** Trains a language model in a run's folder (see `trainModel`). Returns undefined when the signal stops it. */
export function trainLanguageModel<O extends LanguageTrainingOptions>(
  learner: LanguageLearner<O>,
  parts: TrainParts<LanguageStep>,
): Promise<LanguageResult | undefined> {
  const { keepBest, dtype } = learner.options;
  return trainModel<LanguageEvaluation, LanguageStep, LanguageResult>(learner, parts, {
    keepBest,
    diagnose: diagnoseSupervised,
    save: (folder) => learner.saveModel(folder, { dtype }),
    record: stepMetrics,
    recordEvaluation(step, evaluation) {
      if (step === 0) recordTokens(parts.run, learner.firstRows);
      recordSamples(parts.run, step, evaluation.samples);
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
