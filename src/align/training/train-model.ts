/** The training of a model in a run's folder: writes metrics, samples, and the last and the best model. */

import { HeedError } from '../../error.ts';
import { join } from '../../node.ts';
import type { Diagnosis, DiagnosisRow } from '../../run/diagnosis.ts';
import { type Drivable, driveRun, type TrainParts } from '../../run/drive.ts';
import { type Diagnose, diagnoseError, diagnoseRun } from '../diagnosis/run.ts';

/** What every training of a model in a run's folder results in. */
export interface TrainedModel {
  /** The run's folder. */
  run: string;
  /** Folder of the last model; with `keepBest`, the best one is in `best` beside it. */
  model: string;
  /** Wall time in seconds, including earlier processes of the run. */
  seconds: number;
  /** What went wrong, if anything, and what to do about it. */
  diagnosis: Diagnosis;
}

interface ModelTraining<Evaluation, Step, Result> {
  keepBest: boolean;
  diagnose: Diagnose;
  save(folder: string): void | Promise<void>;
  /** Writes the samples of a step, and returns its metrics, without those of its evaluation. */
  record(step: Step): Record<string, number>;
  /** Writes the samples of an evaluation, and returns its metrics. */
  recordEvaluation(step: number, evaluation: Evaluation): Record<string, number>;
  result(last: Step): Omit<Result, keyof TrainedModel>;
}

/** The metrics of a step on data; `accuracy` only for losses of preferences or labels. */
export const stepMetrics = (step: {
  loss: number;
  accuracy?: number;
  gradientNorm: number;
  learningRate: number;
  tokens: number;
}): Record<string, number> => ({
  'loss/train': step.loss,
  ...(step.accuracy !== undefined && { 'accuracy/train': step.accuracy }),
  'gradient/norm': step.gradientNorm,
  learning_rate: step.learningRate,
  tokens: step.tokens,
});

/**
 * Trains a model in a run's folder. Resumes from the run's newest checkpoint. Returns undefined when the signal stops
 * it, after writing a checkpoint and the current model.
 */
export async function trainModel<
  Evaluation extends { best: boolean },
  Step extends { step: number; done: boolean; evaluation?: Evaluation },
  Result extends TrainedModel,
>(
  learner: Drivable<Step> & {
    evaluate(signal?: AbortSignal): Evaluation | undefined | Promise<Evaluation | undefined>;
  },
  parts: TrainParts<Step>,
  training: ModelTraining<Evaluation, Step, Result>,
): Promise<Result | undefined> {
  const { run } = parts;
  const save = async (name: string): Promise<string> => {
    const folder = join(run.folder, name);
    await training.save(folder);
    return folder;
  };
  const evaluated = (step: number, evaluation: Evaluation | undefined) =>
    evaluation ? training.recordEvaluation(step, evaluation) : {};
  /** Writes the diagnosis of the run so far. */
  const diagnosed = (step: number, diagnose: () => Diagnosis): { diagnosis: Diagnosis } => {
    const diagnosis = diagnose();
    run.sample({ kind: 'diagnosis', step, ...diagnosis } satisfies DiagnosisRow);
    return { diagnosis };
  };
  let latest = 0;
  /** Writes the diagnosis of a run that an error stops. */
  const noting = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (error instanceof HeedError && !parts.signal?.aborted) diagnosed(latest, () => diagnoseError(error));
      throw error;
    }
  };
  const driven: Drivable<Step> = {
    next: (signal) => noting(learner.next(signal)),
    prepareSave: () => noting(learner.prepareSave?.() ?? Promise.resolve()),
    save: () => learner.save(),
    restore: (checkpoint) => learner.restore(checkpoint),
  };
  const result = await driveRun<Step, TrainedModel>(driven, {
    ...parts,
    before: async () => evaluated(0, await noting((async () => learner.evaluate(parts.signal))())),
    async record(step) {
      latest = step.step;
      if (step.evaluation?.best && training.keepBest) await save('best');
      return { ...training.record(step), ...evaluated(step.step, step.evaluation) };
    },
    result: async (last, seconds) => ({
      run: run.folder,
      model: await save('model'),
      ...training.result(last),
      seconds,
      ...diagnosed(last.step, () => diagnoseRun(run.folder, training.diagnose)),
    }),
  });
  if (!result) await save('model');
  // the folder of a complete run may have been moved since
  return result && ({ ...result, model: join(run.folder, 'model') } as Result);
}
