/** A model's training in a run's folder, whatever it learns from: metrics, the last and the best model. */
import { join } from 'node:path';
import { type Drivable, driveRun, type TrainParts } from '../../run/index.ts';

/** What every training of a model comes to. */
export interface TrainedModel {
  /** The run's folder. */
  run: string;
  /** Folder of the last model; the best, where one is kept, is `best` beside it. */
  model: string;
  /** Wall time of the training, that of earlier processes of the run included. */
  seconds: number;
}

interface ModelTraining<Evaluation, Step, Result> {
  keepBest: boolean;
  save(folder: string): void;
  /** Writes samples where a step has any, and gives its metrics, but for its evaluation's. */
  record(step: Step): Record<string, number>;
  /** Likewise of an evaluation. */
  recordEvaluation(step: number, evaluation: Evaluation): Record<string, number>;
  result(last: Step): Omit<Result, keyof TrainedModel>;
}

/** Metrics of a step on labeled data; `accuracy` where the loss is of choices. */
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
 * Trains in a run's folder. Goes on from the run's newest checkpoint where it has one. Undefined where the signal stopped it: then
 * a checkpoint was written, and the model as it stands.
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
  const save = (name: string): string => {
    const folder = join(run.folder, name);
    training.save(folder);
    return folder;
  };
  const evaluated = (step: number, evaluation: Evaluation | undefined) =>
    evaluation ? training.recordEvaluation(step, evaluation) : {};
  const result = await driveRun<Step, TrainedModel>(learner, {
    ...parts,
    before: async () => evaluated(0, await learner.evaluate(parts.signal)),
    record(step) {
      if (step.evaluation?.best && training.keepBest) save('best');
      return { ...training.record(step), ...evaluated(step.step, step.evaluation) };
    },
    result: (last, seconds) => ({ run: run.folder, model: save('model'), ...training.result(last), seconds }),
  });
  if (!result) save('model');
  // a run that is over may have been moved since
  return result && ({ ...result, model: join(run.folder, 'model') } as Result);
}
