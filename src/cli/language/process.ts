/** heed process: a reward model for the steps of completions. */
import type { Command } from 'commander';
import type { ProcessRun } from '../../align/process/train.ts';
import { percent } from '../../percent.ts';
import { rewardTrainings } from '../../pipeline/trainings/rewards.ts';
import { duration } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';
import { formatAccuracy } from './reward.ts';

export const addProcess = (command: Command): void =>
  addTraining(command, 'process', rewardTrainings.process, { summarize });

const summarize = ({ accuracy, interval, n, right, completions, seconds, model }: ProcessRun): [string, string][] => [
  [
    'steps',
    n === 0
      ? 'nothing was held out'
      : `${formatAccuracy({ accuracy, interval, n }, 'held-out steps')}; ${percent(right)} are right`,
  ],
  ...Object.entries(completions ?? {}).map(([by, share]): [string, string] => [
    `by ${by}`,
    formatAccuracy(share, 'held-out completions'),
  ]),
  ['time', duration(seconds)],
  ['model', model],
];
