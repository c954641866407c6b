/** Records of algorithms that train a policy on rewards of its own completions. */
import { duration, figure } from '../../run/progress.ts';
import { modelRecords, type StageLearner } from '../../run/training-record.ts';
import type { PolicyStep } from './learner.ts';
import { diagnosePolicyRun, policyReport } from './report.ts';
import { type PolicyResult, trainPolicy } from './train.ts';

const summarize = ({ model, reward, kl, measures, seconds, weights }: PolicyResult): [string, string][] => [
  ['reward', `${figure(reward.after)}, from ${figure(reward.before)}`],
  ['KL', `${figure(kl)} nats per completion from the reference`],
  ...Object.entries(measures ?? {}).map(([name, value]): [string, string] => [name, figure(value)]),
  ['time', duration(seconds)],
  ['model', model],
  ...(weights ? [['weights', weights.sampler] as [string, string]] : []),
];

/** The record of an algorithm that trains a policy on rewards of its own completions. */
export const policyRecord = modelRecords({
  teaches: 'rewarded model',
  train: trainPolicy,
  save: ({ policy }: StageLearner & { policy: { save(folder: string): void } }, folder) => policy.save(folder),
  report: policyReport,
  diagnose: diagnosePolicyRun,
  summarize,
  live: ({ metrics, evaluation, tokensPerSecond }: PolicyStep): Record<string, number> => ({
    reward: metrics['reward/mean'],
    kl: metrics['kl/mean'],
    'tokens/s': tokensPerSecond,
    ...(metrics.labels !== undefined && { labels: metrics.labels, waiting: metrics.waiting }),
    ...(evaluation && { 'evaluation reward': evaluation.reward }),
  }),
});
