/** The training of a policy in a run's folder, with its alerts. */
import { writeFileAtomic } from '../../files.ts';
import { REMOTE_WEIGHTS } from '../../lm/checkpoint.ts';
import { saveTokenizer } from '../../lm/tokenizer.ts';
import { basename, join } from '../../node.ts';
import type { TrainParts } from '../../run/drive.ts';
import type { EpisodeFailure } from '../agents/rollouts.ts';
import { diagnosePolicySettings } from '../diagnosis/policy.ts';
import { recordSamples, type SpreadRow } from '../training/samples.ts';
import { type TrainedModel, trainModel } from '../training/train-model.ts';
import type { ComparedCompletions } from './ask-people.ts';
import type { PolicyLearner, PolicyStep } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';
import type { PolicyEvaluation } from './policy-evaluation.ts';
import { isRemote, type RemotePolicy, type RemoteWeights } from './remote-policy.ts';

/** The result of `trainPolicy`. */
export interface PolicyResult extends TrainedModel {
  /** Mean reward in the evaluations before the first step and after the last. */
  reward: { before: number; after: number };
  /** Mean KL from the reference in the last evaluation, in nats per completion. */
  kl: number;
  /** Steps taken. */
  steps: number;
  /** With `backend`, where the last model's weights are; `model` has only a file with this and the tokenizer. */
  weights?: RemoteWeights;
  /** Further metrics of the last evaluation; in the embedded world, the true reward and the quality of sentences. */
  measures?: Record<string, number>;
}

/** A row of samples.jsonl for an alert. */
export interface AlertRow {
  kind: 'alert';
  step: number;
  metric: string;
  value: number;
  text: string;
}

/** A row of samples.jsonl for an episode whose environment or agent failed. */
interface FailureRow extends EpisodeFailure {
  kind: 'failure';
  step: number;
}

/** A row of samples.jsonl for a judgment on two completions; another one when the judgment changes. */
interface ComparisonRow extends Pick<ComparedCompletions, 'id' | 'choice' | 'predicted'> {
  kind: 'comparison';
  step: number;
  prompt: string;
  first: string;
  second: string;
}

/** The metrics of a step and of its evaluation, by name. */
export const policyMetrics = ({ metrics, evaluation, idle }: PolicyStep): Record<string, number> => ({
  ...metrics,
  ...(idle !== undefined && { 'rollouts/idle': idle }),
  ...(evaluation && evaluationMetrics(evaluation)),
});

const evaluationMetrics = ({ reward, kl, measures, signals }: PolicyEvaluation): Record<string, number> => ({
  'eval/reward': reward,
  'eval/kl': kl,
  ...measures,
  ...signals,
});

/** Saves a policy's weights at its service; a folder gets the tokenizer, and where the weights are. */
async function saveRemote(policy: RemotePolicy, folder: string): Promise<RemoteWeights> {
  const weights = await policy.export(basename(folder));
  saveTokenizer(folder, policy.model.tokenizer);
  writeFileAtomic(join(folder, REMOTE_WEIGHTS), `${JSON.stringify(weights, null, 2)}\n`);
  return weights;
}

/** Trains a policy in a run's folder (see `trainModel`). Returns undefined when the signal stops it. */
export function trainPolicy<O extends PolicyTrainingOptions>(
  learner: PolicyLearner<O>,
  parts: TrainParts<PolicyStep>,
): Promise<PolicyResult | undefined> {
  const { run, onWarning = process.emitWarning } = parts;
  const { keepBest, dtype } = learner.options;
  let weights: RemoteWeights | undefined;
  return trainModel<PolicyEvaluation, PolicyStep, PolicyResult>(learner, parts, {
    keepBest,
    diagnose: diagnosePolicySettings,
    async save(folder) {
      const { policy } = learner;
      if (isRemote(policy)) weights = await saveRemote(policy, folder);
      else policy.save(folder, { dtype });
      await learner.asking?.saveModels(join(run.folder, 'reward'));
    },
    record({ step, metrics, alerts, idle, compared = [], failures = [] }) {
      for (const failed of failures) run.sample({ kind: 'failure', step, ...failed } satisfies FailureRow);
      if (failures.length > 0) {
        const [{ task, failure }] = failures;
        const episodes = failures.length === 1 ? 'An episode' : `${failures.length} episodes`;
        onWarning(
          `step ${step}: ${episodes} failed. ${failures.length === 1 ? 'Task' : 'The first, of task'} ${task}: ${failure}`,
        );
      }
      for (const { id, choice, predicted, options } of compared) {
        const [first, second] = options.map(({ text }) => text);
        const { promptText: prompt } = options[0];
        run.sample({ kind: 'comparison', step, id, prompt, first, second, choice, predicted } satisfies ComparisonRow);
      }
      for (const alert of alerts) {
        run.sample({ kind: 'alert', step, ...alert } satisfies AlertRow);
        onWarning(`step ${step}: ${alert.text}`);
      }
      return { ...metrics, ...(idle !== undefined && { 'rollouts/idle': idle }) };
    },
    recordEvaluation(step, evaluation) {
      const { spread, samples } = evaluation;
      recordSamples(run, step, samples);
      run.sample({ kind: 'spread', step, of: spread } satisfies SpreadRow);
      return evaluationMetrics(evaluation);
    },
    result({ step, evaluation }) {
      const { reward, kl, measures } = evaluation!;
      return {
        reward: { before: learner.before()!.reward, after: reward },
        kl,
        steps: step,
        ...(weights && { weights }),
        ...(Object.keys(measures).length > 0 && { measures }),
      };
    },
  });
}
