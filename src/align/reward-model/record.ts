/** The record of the training of a reward model. */
import { percent, percents } from '../../percent.ts';
import { duration } from '../../run/progress.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import { rewardModelSchema } from './options.ts';
import { diagnoseRewardRun, rewardReport } from './report.ts';
import { createReward, type RewardStep } from './reward.ts';
import { type RewardRun, trainReward } from './train.ts';

interface RewardKindStep extends Pick<RewardStep, 'step' | 'loss' | 'accuracy'> {
  evaluation?: { accuracy: number };
}

/** What the records of both kinds of reward models share. */
export const rewardKind = {
  about: named.about,
  path: named.path,
  teaches: 'reward model',
  live: ({ loss, accuracy, evaluation }: RewardKindStep): Record<string, number> => ({
    loss,
    'batch accuracy': accuracy,
    ...(evaluation && { 'held-out accuracy': evaluation.accuracy }),
  }),
  shares: ['batch accuracy', 'held-out accuracy'],
  product: 'a reward model',
} as const;

export const reward: TrainingRecord = {
  name: 'reward',
  ...opened(rewardModelSchema, createReward),
  ...rewardKind,
  train: trainReward,
  report: rewardReport,
  diagnose: diagnoseRewardRun,
  summarize: ({ accuracy, interval, n, sampledFrom, verdict, seconds, model }: RewardRun) => [
    [
      'accuracy',
      n === 0
        ? 'nothing was held out'
        : `${formatAccuracy({ accuracy, interval, n }, heldOutPairs(sampledFrom))}: ${verdict}`,
    ],
    ['time', duration(seconds)],
    ['model', model],
  ],
};

const heldOutPairs = (sampledFrom: number | undefined) =>
  sampledFrom === undefined ? 'held-out pairs' : `pairs sampled from ${sampledFrom} held-out ones`;

/** An accuracy with its interval, in words. */
export function formatAccuracy(
  { accuracy, interval, n }: { accuracy: number; interval: readonly number[]; n: number },
  what = 'held-out pairs',
) {
  return `${percent(accuracy)} (${percents(interval)}) of ${n} ${what}`;
}
