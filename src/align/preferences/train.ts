/** A training on preferences in a run's folder: metrics, samples, the last and the best model. */
import { join } from 'node:path';
import { driveRun, type TrainParts } from '../../run/index.ts';
import type { PreferenceEvaluation } from './evaluation.ts';
import type { PreferenceLearner, PreferenceStep } from './learner.ts';
import type { PreferenceOptions } from './options.ts';

/** What a training on preferences comes to. */
export interface PreferenceResult {
  /** The run's folder. */
  run: string;
  /** Folder of the last model; the best, where one is kept, is `best` beside it. */
  model: string;
  /** Of the steps since the evaluation before the last, and held out (NaN where nothing is). */
  loss: { train: number; eval: number };
  /** Share of the held-out pairs that the policy rewards as they were chosen; absent without pairs. */
  accuracy?: number;
  /** Mean reward of the answers to held-out prompts before the first step and after the last, where there is a reward. */
  reward?: { before: number; after: number };
  /** Mean log π − log π_ref of the last evaluation's answers, in nats, where any were given. */
  kl?: number;
  steps: number;
  /** Wall time of the training, that of earlier processes of the run included. */
  seconds: number;
}

/** A row of samples.jsonl. */
export interface PreferenceSampleRow {
  kind: 'answer';
  step: number;
  /** Which of the prompts it answers. */
  index: number;
  prompt: string;
  text: string;
  reward?: number;
}

/**
 * Trains in a run's folder. Goes on from the run's newest checkpoint where it has one. Undefined where the signal stopped it: then
 * a checkpoint was written, and the model as it stands.
 */
export async function trainPreferences<O extends PreferenceOptions>(
  learner: PreferenceLearner<O>,
  parts: TrainParts<PreferenceStep>,
): Promise<PreferenceResult | undefined> {
  const { run } = parts;
  const { policy, options } = learner;
  const save = (name: string): string => {
    const folder = join(run.folder, name);
    policy.save(folder, { dtype: options.dtype });
    return folder;
  };
  const record = (step: number, evaluation: PreferenceEvaluation): Record<string, number> => {
    for (const [index, sample] of evaluation.samples.entries()) {
      run.sample({ kind: 'answer', step, index, ...sample } satisfies PreferenceSampleRow);
    }
    const { loss, metrics, reward, kl, length } = evaluation;
    const told = {
      'loss/eval': loss,
      ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval/${name}`, value])),
      'eval/reward': reward,
      'eval/kl': kl,
      'eval/response/length': length,
    };
    return Object.fromEntries(
      Object.entries(told).filter((entry): entry is [string, number] => entry[1] !== undefined),
    );
  };
  const result = await driveRun(learner, {
    ...parts,
    before: async () => record(0, await learner.evaluate()),
    record({ step, loss, metrics, evaluation }) {
      if (evaluation?.best && options.keepBest) save('best');
      return { 'loss/train': loss, ...metrics, ...(evaluation && record(step, evaluation)) };
    },
    result({ step, recentLoss, evaluation }, seconds): PreferenceResult {
      const { loss = Number.NaN, metrics, reward, kl } = evaluation!;
      const accuracy = metrics['rewards/accuracies'];
      const before = learner.before()?.reward;
      return {
        run: run.folder,
        model: save('model'),
        loss: { train: recentLoss, eval: loss },
        ...(accuracy !== undefined && { accuracy }),
        ...(reward !== undefined && before !== undefined && { reward: { before, after: reward } }),
        ...(kl !== undefined && { kl }),
        steps: step,
        seconds,
      };
    },
  });
  if (!result) save('model');
  return result && { ...result, model: join(run.folder, 'model') };
}
