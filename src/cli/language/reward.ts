/** heed reward: a reward model from comparisons. */

import type { Command } from 'commander';
import type { RewardRun } from '../../align/reward-model/train.ts';
import { percent, percents } from '../../percent.ts';
import { rewardTrainings } from '../../pipeline/trainings/rewards.ts';
import { duration } from '../../run/progress.ts';
import { mergeOption, storeOption } from '../people/store.ts';
import { addTraining } from '../run/run-training.ts';
import { learningFromProject, type ProjectFlags } from './from-project.ts';

export function addReward(command: Command): void {
  addTraining(command, 'reward', rewardTrainings.reward, {
    summarize,
    around: (training) => learningFromProject(training, () => command.opts<ProjectFlags>()),
  });
  command
    .optionsGroup('Answers of people:')
    .option('--from-project <name>', 'train on the judgments of a heed studio project, in place of --data')
    .addOption(storeOption())
    .addOption(mergeOption());
}

const summarize = ({ accuracy, interval, n, sampledFrom, verdict, seconds, model }: RewardRun): [string, string][] => [
  [
    'accuracy',
    n === 0
      ? 'nothing was held out'
      : `${formatAccuracy({ accuracy, interval, n }, heldOutPairs(sampledFrom))}: ${verdict}`,
  ],
  ['time', duration(seconds)],
  ['model', model],
];

const heldOutPairs = (sampledFrom: number | undefined) =>
  sampledFrom === undefined ? 'held-out pairs' : `pairs sampled from ${sampledFrom} held-out ones`;

export function formatAccuracy(
  { accuracy, interval, n }: { accuracy: number; interval: readonly number[]; n: number },
  what = 'held-out pairs',
) {
  return `${percent(accuracy)} (${percents(interval)}) of ${n} ${what}`;
}
