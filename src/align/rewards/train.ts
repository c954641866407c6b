/** The training of a reward model in a run's folder: metrics, the last and the best model. */
import { join } from 'node:path';
import { driveRun, type TrainParts } from '../../run/index.ts';
import type { RewardLearner, RewardStep, RewardStepEvaluation } from '../reward.ts';

/** What the training of a reward model comes to. Without held-out comparisons, accuracy is NaN. */
export interface RewardResult {
  /** The run's folder. */
  run: string;
  /** Folder of the last model, or of `member-…` folders; the best, where one is kept, is `best` beside it. */
  model: string;
  /** Share of the held-out comparisons that it decides as was done. */
  accuracy: number;
  /** Wilson's, of 95 %. */
  interval: [low: number, high: number];
  /** Held-out comparisons. */
  n: number;
  /** Wall time of the training, that of earlier processes of the run included. */
  seconds: number;
  verdict: string;
}

/** The row of samples.jsonl with the whole of an evaluation. */
export interface RewardEvaluationRow {
  kind: 'evaluation';
  step: number;
  evaluation: RewardStepEvaluation;
}

/**
 * Trains in a run's folder. Goes on from the run's newest checkpoint where it has one. Undefined where the signal stopped it: then
 * a checkpoint was written, and the model as it stands.
 */
export async function trainReward(
  learner: RewardLearner,
  parts: TrainParts<RewardStep>,
): Promise<RewardResult | undefined> {
  const { run } = parts;
  const save = (name: string): string => {
    const folder = join(run.folder, name);
    learner.saveModels(folder);
    return folder;
  };
  const record = (step: number, evaluation: RewardStepEvaluation | undefined): Record<string, number> => {
    if (!evaluation) return {};
    run.sample({ kind: 'evaluation', step, evaluation } satisfies RewardEvaluationRow);
    const { accuracy, loss, ece, margin, longerWins, disagreement } = evaluation;
    return {
      'loss/eval': loss,
      'accuracy/eval': accuracy,
      ece,
      'margin/mean': margin.mean,
      longer_wins: longerWins,
      ...(learner.members.length > 1 && { disagreement }),
    };
  };
  const result = await driveRun(learner, {
    ...parts,
    before: () => record(0, learner.evaluate()),
    record({ step, evaluation, loss, accuracy, gradientNorm, learningRate, tokens }) {
      if (evaluation?.best && learner.options.keepBest) save('best');
      return {
        'loss/train': loss,
        'accuracy/train': accuracy,
        'gradient/norm': gradientNorm,
        learning_rate: learningRate,
        tokens,
        ...record(step, evaluation),
      };
    },
    result({ evaluation }, seconds): RewardResult {
      const { accuracy = Number.NaN, interval = [0, 1], n = 0, verdict = 'nothing to judge by' } = evaluation ?? {};
      return { run: run.folder, model: save('model'), accuracy, interval, n, seconds, verdict };
    },
  });
  if (!result) save('model');
  return result && { ...result, model: join(run.folder, 'model') };
}
