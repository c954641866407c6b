/** heed eval policy: compares a model's completions with another's. */
import type { Command } from 'commander';
import { judgeWarnings } from '../../align/evaluation/report.ts';
import type { PolicyEvaluationResult } from '../../align/evaluation/run.ts';
import { comparisonTrainings } from '../../pipeline/trainings/comparisons.ts';
import { percent } from '../../run/intervals.ts';
import { duration, figure } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addEvalPolicy = (command: Command): void =>
  addTraining(command, 'eval policy', comparisonTrainings['eval policy'], { summarize });

const span = (interval: readonly number[], format: (value: number) => string) => interval.map(format).join(' to ');

function summarize(result: PolicyEvaluationResult): [name: string, value: string][] {
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
            `${figure(reward.policy)}, the baseline's ${figure(reward.baseline)}: difference ${figure(reward.difference)} (${span(reward.interval, figure)})`,
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
