/** heed train: learn from preferences. */
import type { Command } from 'commander';
import type { TrainResult } from '../control/index.ts';
import { duration } from '../run/progress.ts';
import { returned } from './rl.ts';
import { addTraining } from './training.ts';

export const addTrain = (command: Command): void =>
  addTraining(command, 'train', { shortcuts: { ensemble: 'reward.members', query: 'query.rule' }, tell });

const tell = ({
  return: evaluated,
  labels,
  steps,
  accuracy,
  correlation,
  seconds,
}: TrainResult): [string, string][] => [
  ['return', returned(evaluated)],
  ['labels', `${labels}`],
  ['steps', steps.toLocaleString('en-US')],
  ['accuracy', `${share(accuracy)} of choices foreseen before they were learnt`],
  [
    'reward',
    `follows the true one with Pearson ${three(correlation.pearson)}, Spearman ${three(correlation.spearman)}`,
  ],
  ['time', duration(seconds)],
];

const share = (value: number) => (Number.isFinite(value) ? `${Math.round(value * 100)} %` : 'no share');
const three = (value: number) => (Number.isFinite(value) ? value.toFixed(3) : 'none (true returns are all equal)');
