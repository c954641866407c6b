/** heed overoptimization: how a reward and its gold reward diverge, and how well guards prevent it. */
import type { Command } from 'commander';
import type { CurvePoint } from '../../align/overoptimization/curves.ts';
import type { OveroptimizationResult } from '../../align/overoptimization/train.ts';
import { policyTrainings } from '../../pipeline/trainings/policies.ts';
import { duration, figure } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addOveroptimization = (command: Command): void =>
  addTraining(command, 'overoptimization', policyTrainings.overoptimization, { summarize });

const summarize = ({ curves, seconds }: OveroptimizationResult): [string, string][] => [
  ...curves.map(({ name, method, peak, last }): [string, string] => [
    method === 'rl' || name === 'best of n' ? name : `best of n, ${name}`,
    `gold ${point(peak)} at its peak${last.at === peak.at ? '' : `, then ${point(last)}`}`,
  ]),
  ['time', duration(seconds)],
];

const point = ({ gold, kl }: CurvePoint) => `${figure(gold)} (KL ${figure(kl)})`;
