/** heed eval policy: compares a model's completions with another's. */
import type { Command } from 'commander';
import { judgeWarnings } from '../../align/evaluation/report.ts';
import type { PolicyEvaluationResult } from '../../align/evaluation/run.ts';
import { percent, percents } from '../../percent.ts';
import { comparisonTrainings } from '../../pipeline/trainings/comparisons.ts';
import { duration, figure } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addEvalPolicy = (command: Command): void =>
  addTraining(command, 'eval policy', comparisonTrainings['eval policy'], { summarize });

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
