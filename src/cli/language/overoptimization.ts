/** heed overoptimization: how a reward and what it stands for part, and what holds them together. */
import type { Command } from 'commander';
import type { CurvePoint, OveroptimizationResult } from '../../align/parts.ts';
import { duration, figure } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addOveroptimization = (command: Command): void => addTraining(command, 'overoptimization', { tell });

const tell = ({ curves, seconds }: OveroptimizationResult): [string, string][] => [
  ...curves.map(({ name, method, peak, last }): [string, string] => [
    method === 'rl' || name === 'best of n' ? name : `best of n, ${name}`,
    `gold ${told(peak)} at its peak${last.at === peak.at ? '' : `, then ${told(last)}`}`,
  ]),
  ['time', duration(seconds)],
];

const told = ({ gold, kl }: CurvePoint) => `${figure(gold)} (KL ${figure(kl)})`;
