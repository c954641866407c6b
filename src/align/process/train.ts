/** The training of a process reward model in a run's folder. */
import type { TrainParts } from '../../run/index.ts';
import type { Share } from '../reward-model/evaluation.ts';
import { stepMetrics, type TrainedModel, trainModel } from '../training/train-model.ts';
import type { StepEvaluation } from './evaluation.ts';
import type { ProcessEvaluation, ProcessLearner, ProcessStep } from './process.ts';

/** What the training comes to. Without held-out answers, accuracy is NaN. */
export interface ProcessResult extends TrainedModel, Share {
  /** Share of the held-out steps that are right. */
  right: number;
  /** By answer, as `StepEvaluation` has it. */
  answers?: StepEvaluation['answers'];
}

/** The row of samples.jsonl with the whole of an evaluation. */
export interface ProcessEvaluationRow {
  kind: 'evaluation';
  step: number;
  evaluation: ProcessEvaluation;
}

/** As `trainModel` does. */
export function trainProcess(
  learner: ProcessLearner,
  parts: TrainParts<ProcessStep>,
): Promise<ProcessResult | undefined> {
  return trainModel<ProcessEvaluation, ProcessStep, ProcessResult>(learner, parts, {
    keepBest: learner.options.keepBest,
    save: learner.saveModel,
    record: stepMetrics,
    recordEvaluation(step, evaluation) {
      parts.run.sample({ kind: 'evaluation', step, evaluation } satisfies ProcessEvaluationRow);
      const { loss, accuracy, auc, answers } = evaluation;
      return {
        'loss/eval': loss,
        'accuracy/eval': accuracy,
        'accuracy/product': answers.product.accuracy,
        'accuracy/min': answers.min.accuracy,
        'accuracy/last': answers.last.accuracy,
        ...(Number.isFinite(auc) && { auc }),
      };
    },
    result({ evaluation }) {
      const { accuracy = Number.NaN, interval = [0, 1], n = 0, right = Number.NaN, answers } = evaluation ?? {};
      return { accuracy, interval, n, right, ...(answers && { answers }) };
    },
  });
}
