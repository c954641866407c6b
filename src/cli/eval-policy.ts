/** heed eval policy: how good a model's answers are beside another's. */
import type { Command } from 'commander';
import { judgeWarnings } from '../align/evaluations/report.ts';
import {
  createPolicyEvaluation,
  type PolicyEvaluationInput,
  type PolicyEvaluationResult,
  policyEvaluationReport,
  policyEvaluationSchema,
  runPolicyEvaluation,
} from '../align/index.ts';
import { percent } from '../align/rewards/report.ts';
import { duration, figure } from '../run/progress.ts';
import { pullProgress } from './pull.ts';
import { addTraining } from './training.ts';

export function addEvalPolicy(command: Command): void {
  addTraining(command, {
    command: 'eval policy',
    schema: policyEvaluationSchema,
    create(settings, tell) {
      const { done, ...pull } = pullProgress('pull');
      return createPolicyEvaluation(settings as PolicyEvaluationInput, { pull, tell }).finally(done);
    },
    about: ({ name, steps }) => ({ name, steps }),
    train: runPolicyEvaluation,
    report: policyEvaluationReport,
    live: ({ pairs }) => ({ wins: pairs.reduce((sum, { preference }) => sum + preference, 0) / pairs.length }),
    tell,
  });
}

const span = (interval: readonly number[], told: (value: number) => string) => interval.map(told).join(' to ');

function tell(result: PolicyEvaluationResult): [name: string, value: string][] {
  const { winRate, interval, n, ties, lengthControlled, reward, kl, length, judge, comparisons, seconds } = result;
  return [
    ['win rate', `${percent(winRate)} (${span(interval, percent)}) of ${n} prompts, ${ties} of them ties`],
    ...(lengthControlled
      ? [row('at equal length', `${percent(lengthControlled.winRate)} (${span(lengthControlled.interval, percent)})`)]
      : []),
    ...(reward
      ? [
          row(
            'reward',
            `${figure(reward.policy)}, the baseline's ${figure(reward.baseline)}: ${figure(reward.difference)} more (${span(reward.interval, figure)})`,
          ),
        ]
      : []),
    ...(kl === undefined ? [] : [row('KL', `${figure(kl)} nats an answer`)]),
    ['length', `${figure(length.policy)} characters, the baseline's ${figure(length.baseline)}`],
    ...(judge
      ? [
          row(
            'judge',
            `agrees with itself in ${percent(judge.agreement)}, takes what it sees first in ${percent(judge.first)}`,
          ),
          ...judgeWarnings(judge).map((warning) => row('', warning)),
        ]
      : []),
    ['time', duration(seconds)],
    ['comparisons', comparisons],
  ];
}

const row = (name: string, value: string): [string, string] => [name, value];
