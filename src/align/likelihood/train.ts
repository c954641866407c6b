/** A training of a language model in a run's folder: metrics, samples, the last and the best model. */
import { join } from 'node:path';
import { driveRun, type TrainParts } from '../../run/index.ts';
import type { LanguageTrainingOptions } from '../training-options.ts';
import type { LanguageEvaluation, LanguageLearner, LanguageStep } from './learner.ts';

/** What a training of a language model comes to. */
export interface LanguageResult {
  /** The run's folder. */
  run: string;
  /** Folder of the last model; the best, where one is kept, is `best` beside it. */
  model: string;
  /** Nats a token: of the steps since the evaluation before the last, and held out (NaN where nothing is). */
  loss: { train: number; eval: number };
  /** Held out. */
  perplexity: number;
  /** Tokens that were no padding, evaluations left out. */
  tokensPerSecond: number;
  /** Wall time of the training, that of earlier processes of the run included. */
  seconds: number;
  /** What else is told of the last model: of the embedded world, how good and how well formed its texts are. */
  measures?: Record<string, number>;
}

/** A row of samples.jsonl. */
export interface SampleRow {
  kind: 'answer';
  step: number;
  /** Which of the prompts it answers. */
  index: number;
  prompt: string;
  text: string;
  reference?: string;
}

/**
 * Trains in a run's folder. Goes on from the run's newest checkpoint where it has one. Undefined where the signal stopped it: then
 * a checkpoint was written, and the model as it stands.
 */
export async function trainLanguageModel<O extends LanguageTrainingOptions>(
  learner: LanguageLearner<O>,
  parts: TrainParts<LanguageStep>,
): Promise<LanguageResult | undefined> {
  const { run } = parts;
  const save = (name: string): string => {
    const folder = join(run.folder, name);
    learner.saveModel(folder, { dtype: learner.options.dtype });
    return folder;
  };
  const record = (step: number, evaluation: LanguageEvaluation): Record<string, number> => {
    for (const [index, sample] of evaluation.samples.entries()) {
      run.sample({ kind: 'answer', step, index, ...sample } satisfies SampleRow);
    }
    const { loss, perplexity, measures } = evaluation;
    return { ...(loss !== undefined && { 'loss/eval': loss, perplexity: perplexity! }), ...measures };
  };
  const result = await driveRun(learner, {
    ...parts,
    before: async () => record(0, await learner.evaluate()),
    record({ step, evaluation, loss, gradientNorm, learningRate, tokens }) {
      if (evaluation?.best && learner.options.keepBest) save('best');
      return {
        'loss/train': loss,
        'gradient/norm': gradientNorm,
        learning_rate: learningRate,
        tokens,
        ...(evaluation && record(step, evaluation)),
      };
    },
    result({ evaluation, recentLoss, tokensPerSecond }, seconds): LanguageResult {
      const { loss = Number.NaN, perplexity = Number.NaN, measures } = evaluation!;
      return {
        run: run.folder,
        model: save('model'),
        loss: { train: recentLoss, eval: loss },
        perplexity,
        tokensPerSecond,
        seconds,
        ...(Object.keys(measures).length > 0 && { measures }),
      };
    },
  });
  if (!result) save('model');
  return result && { ...result, model: join(run.folder, 'model') };
}
