/** heed reward: a reward model from comparisons. */
import type { Command } from 'commander';
import { createReward, rewardReport, rewardSchema, trainReward } from '../align/index.ts';
import { duration } from '../run/progress.ts';
import { pullProgress } from './pull.ts';
import { addTraining } from './training.ts';

export function addReward(command: Command): void {
  addTraining(command, {
    command: 'reward',
    schema: rewardSchema,
    create(settings, tell) {
      const { done, ...pull } = pullProgress('pull');
      return createReward(settings, { pull, tell }).finally(done);
    },
    about: ({ name, steps }) => ({ name, steps }),
    train: trainReward,
    report: rewardReport,
    live: ({ loss, accuracy, evaluation }) => ({ loss, accuracy, ...(evaluation && { eval: evaluation.accuracy }) }),
    tell: ({ accuracy, interval, n, verdict, seconds, model }) => [
      ['accuracy', n === 0 ? 'nothing was held out' : `${toldShare({ accuracy, interval, n })}: ${verdict}`],
      ['time', duration(seconds)],
      ['model', model],
    ],
  });
}

export function toldShare(
  { accuracy, interval, n }: { accuracy: number; interval: readonly number[]; n: number },
  what = 'pairs',
) {
  return `${percent(accuracy)} (${interval.map(percent).join(' to ')}) of ${n} held-out ${what}`;
}

export const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
