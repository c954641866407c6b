/** A policy's training in a run's folder: metrics, samples, alerts, the last and the best model. */
import { join } from 'node:path';
import { driveRun, type TrainParts } from '../../run/index.ts';
import type { PolicyEvaluation, PolicyLearner, PolicyStep } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';

/** What a policy's training comes to. */
export interface PolicyResult {
  /** The run's folder. */
  run: string;
  /** Folder of the last model; the best, where one is kept, is `best` beside it. */
  model: string;
  /** Mean reward in the evaluations before the first step and after the last. */
  reward: { before: number; after: number };
  /** Mean log π − log π_ref of the last evaluation's answers, in nats. */
  kl: number;
  steps: number;
  /** Wall time of the training, that of earlier processes of the run included. */
  seconds: number;
  /** What else is told of the last model's answers: of the embedded world, their true reward and how well formed they are. */
  measures?: Record<string, number>;
}

/** A row of samples.jsonl. */
export type PolicySampleRow =
  | { kind: 'answer'; step: number; index: number; prompt: string; text: string; reward: number }
  | { kind: 'alert'; step: number; metric: string; value: number; text: string };

/**
 * Trains in a run's folder. Goes on from the run's newest checkpoint where it has one. Undefined where the signal stopped it: then
 * a checkpoint was written, and the model as it stands.
 */
export async function trainPolicy<O extends PolicyTrainingOptions>(
  learner: PolicyLearner<O>,
  parts: TrainParts<PolicyStep>,
): Promise<PolicyResult | undefined> {
  const { run, onWarning = process.emitWarning } = parts;
  const { policy, options } = learner;
  const save = (name: string): string => {
    const folder = join(run.folder, name);
    policy.save(folder, { dtype: options.dtype });
    return folder;
  };
  const sample = (row: PolicySampleRow) => run.sample(row);
  const record = (step: number, { reward, kl, measures, samples }: PolicyEvaluation): Record<string, number> => {
    for (const [index, answer] of samples.entries()) sample({ kind: 'answer', step, index, ...answer });
    return { 'eval/reward': reward, 'eval/kl': kl, ...measures };
  };
  const result = await driveRun(learner, {
    ...parts,
    before: async () => record(0, await learner.evaluate()),
    record({ step, metrics, alerts, evaluation }) {
      for (const alert of alerts) {
        sample({ kind: 'alert', step, ...alert });
        onWarning(`step ${step}: ${alert.text}`);
      }
      if (evaluation?.best && options.keepBest) save('best');
      return { ...metrics, ...(evaluation && record(step, evaluation)) };
    },
    result({ step, evaluation }, seconds): PolicyResult {
      const { reward, kl, measures } = evaluation!;
      return {
        run: run.folder,
        model: save('model'),
        reward: { before: learner.before()!.reward, after: reward },
        kl,
        steps: step,
        seconds,
        ...(Object.keys(measures).length > 0 && { measures }),
      };
    },
  });
  if (!result) save('model');
  return result && { ...result, model: join(run.folder, 'model') };
}
