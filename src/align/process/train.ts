/** The training of a process reward model in a run's folder. */
import type { TrainParts } from '../../run/drive.ts';
import { diagnoseProcess } from '../diagnosis/process.ts';
import type { Share } from '../reward-model/evaluation.ts';
import { stepMetrics, type TrainedModel, trainModel } from '../training/train-model.ts';
import type { StepEvaluation } from './evaluation.ts';
import { type ProcessEvaluation, type ProcessLearner, type ProcessStep, processEvaluationMetrics } from './process.ts';

/** The result of `trainProcess`. Without held-out completions, accuracy is NaN. */
export interface ProcessRun extends TrainedModel, Share {
  /** Share of the held-out steps that are right. */
  right: number;
  /** Accuracy over whole completions; see `StepEvaluation`. */
  completions?: StepEvaluation['completions'];
}

/** A row of samples.jsonl with an evaluation. */
export interface ProcessEvaluationRow {
  kind: 'evaluation';
  step: number;
  evaluation: ProcessEvaluation;
}

/** Trains a process reward model in a run's folder (see `trainModel`). Returns undefined when the signal stops it. */
export function trainProcess(learner: ProcessLearner, parts: TrainParts<ProcessStep>): Promise<ProcessRun | undefined> {
  return trainModel<ProcessEvaluation, ProcessStep, ProcessRun>(learner, parts, {
    keepBest: learner.options.keepBest,
    diagnose: diagnoseProcess,
    save: learner.saveModel,
    record: stepMetrics,
    recordEvaluation(step, evaluation) {
      parts.run.sample({ kind: 'evaluation', step, evaluation } satisfies ProcessEvaluationRow);
      return processEvaluationMetrics(evaluation);
    },
    result({ evaluation }) {
      const { accuracy = Number.NaN, interval = [0, 1], n = 0, right = Number.NaN, completions } = evaluation ?? {};
      return { accuracy, interval, n, right, ...(completions && { completions }) };
    },
  });
}
