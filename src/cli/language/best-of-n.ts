/** heed best-of-n: the best of several completions of each prompt, and the estimated gain from more. */
import type { Command } from 'commander';
import type { BestOfNRun } from '../../align/best-of-n/train.ts';
import { policyTrainings } from '../../pipeline/trainings/policies.ts';
import { duration, figure } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addBestOfN = (command: Command): void =>
  addTraining(command, 'best-of-n', policyTrainings['best-of-n'], { summarize });

const summarize = ({ curve, data, seconds }: BestOfNRun): [string, string][] => [
  ...curve.map(({ n, kl, reward, gold }): [string, string] => [
    n === 1 ? 'reward' : `best of ${n}`,
    `${figure(reward)}${gold === undefined ? '' : `, by the second reward ${figure(gold)}`} (KL ${figure(kl)})`,
  ]),
  ['time', duration(seconds)],
  ['completions', data],
];
