/** The record of the comparison of a policy's completions with another's. */
import { percent, percents } from '../../percent.ts';
import { duration, figure } from '../../run/progress.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import { createPolicyEvaluation, type PolicyEvaluationStep } from './evaluation.ts';
import { policyEvaluationSchema } from './options.ts';
import { judgeWarnings, policyEvaluationReport } from './report.ts';
import { type PolicyEvaluationResult, runPolicyEvaluation } from './run.ts';

export const policyEvaluation: TrainingRecord = {
  name: 'eval policy',
  ...opened(policyEvaluationSchema, createPolicyEvaluation),
  about: named.about,
  train: runPolicyEvaluation,
  report: policyEvaluationReport,
  summarize,
  live: ({ pairs }: PolicyEvaluationStep) => ({
    'win rate of the batch': pairs.reduce((sum, { preference }) => sum + preference, 0) / pairs.length,
  }),
  shares: ['win rate of the batch'],
  product: 'a dataset',
  path: 'comparisons.jsonl',
};

const figures = (interval: readonly number[]) => interval.map(figure).join(' to ');

function summarize(result: PolicyEvaluationResult): [name: string, value: string][] {
  const { winRate, interval, n, ties, lengthControlled, reward, kl, length, judge, comparisons, seconds } = result;
  return [
    ['win rate', `${percent(winRate)} (${percents(interval)}) of ${n} prompts, ${ties} of them ties`],
    ...(lengthControlled
      ? [row('at equal length', `${percent(lengthControlled.winRate)} (${percents(lengthControlled.interval)})`)]
      : []),
    ...(reward
      ? [
          row(
            'reward',
            `${figure(reward.policy)}, the baseline's ${figure(reward.baseline)}: difference ${figure(reward.difference)} (${figures(reward.interval)})`,
          ),
        ]
      : []),
    ...(kl === undefined ? [] : [row('KL', `${figure(kl)} nats per completion`)]),
    ['length', `${figure(length.policy)} characters, the baseline's ${figure(length.baseline)}`],
    ...(judge
      ? [
          row(
            'judge',
            `agrees with itself in ${percent(judge.agreement)}, prefers the first completion in ${percent(judge.first)}`,
          ),
          ...judgeWarnings(judge).map((warning) => row('', warning)),
        ]
      : []),
    ['time', duration(seconds)],
    ['comparisons', comparisons],
  ];
}

const row = (name: string, value: string): [string, string] => [name, value];
