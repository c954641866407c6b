/** A policy's training in a run's folder; alerts too. */
import { join } from 'node:path';
import type { TrainParts } from '../../run/index.ts';
import { recordAnswers, type SpreadRow } from '../training/samples.ts';
import { type TrainedModel, trainModel } from '../training/train-model.ts';
import type { ComparedAnswers } from './ask-people.ts';
import type { PolicyEvaluation, PolicyLearner, PolicyStep } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';

/** What a policy's training comes to. */
export interface PolicyResult extends TrainedModel {
  /** Mean reward in the evaluations before the first step and after the last. */
  reward: { before: number; after: number };
  /** Mean log π − log π_ref of the last evaluation's answers, in nats. */
  kl: number;
  steps: number;
  /** What else is told of the last model's answers: of the embedded world, their true reward and how well formed they are. */
  measures?: Record<string, number>;
}

/** A row of samples.jsonl, beside those of answers. */
export interface AlertRow {
  kind: 'alert';
  step: number;
  metric: string;
  value: number;
  text: string;
}

/** What somebody said of two answers of the policy; once more where it was said otherwise later. */
interface ComparisonRow extends Pick<ComparedAnswers, 'id' | 'choice' | 'predicted'> {
  kind: 'comparison';
  step: number;
  prompt: string;
  first: string;
  second: string;
}

/** The metrics of a step and of its evaluation, by their names. */
export const policyMetrics = ({ metrics, evaluation }: PolicyStep): Record<string, number> => ({
  ...metrics,
  ...(evaluation && evaluationMetrics(evaluation)),
});

const evaluationMetrics = ({ reward, kl, measures }: PolicyEvaluation): Record<string, number> => ({
  'eval/reward': reward,
  'eval/kl': kl,
  ...measures,
});

/** As `trainModel` does. */
export function trainPolicy<O extends PolicyTrainingOptions>(
  learner: PolicyLearner<O>,
  parts: TrainParts<PolicyStep>,
): Promise<PolicyResult | undefined> {
  const { run, onWarning = process.emitWarning } = parts;
  const { keepBest, dtype } = learner.options;
  return trainModel<PolicyEvaluation, PolicyStep, PolicyResult>(learner, parts, {
    keepBest,
    save(folder) {
      learner.policy.save(folder, { dtype });
      learner.asking?.saveModels(join(run.folder, 'reward'));
    },
    record({ step, metrics, alerts, compared = [] }) {
      for (const { id, choice, predicted, options } of compared) {
        const [first, second] = options.map(({ text }) => text);
        const { promptText: prompt } = options[0];
        run.sample({ kind: 'comparison', step, id, prompt, first, second, choice, predicted } satisfies ComparisonRow);
      }
      for (const alert of alerts) {
        run.sample({ kind: 'alert', step, ...alert } satisfies AlertRow);
        onWarning(`step ${step}: ${alert.text}`);
      }
      return metrics;
    },
    recordEvaluation(step, evaluation) {
      const { spread, samples } = evaluation;
      recordAnswers(run, step, samples);
      run.sample({ kind: 'spread', step, of: spread } satisfies SpreadRow);
      return evaluationMetrics(evaluation);
    },
    result({ step, evaluation }) {
      const { reward, kl, measures } = evaluation!;
      return {
        reward: { before: learner.before()!.reward, after: reward },
        kl,
        steps: step,
        ...(Object.keys(measures).length > 0 && { measures }),
      };
    },
  });
}
