/** heed pareto: the trade-off between two rewards. */
import type { Command } from 'commander';
import type { ParetoRun } from '../../align/policy-gradient/pareto-train.ts';
import { policyTrainings } from '../../pipeline/trainings/policies.ts';
import { duration, figure } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addPareto = (command: Command): void =>
  addTraining(command, 'pareto', policyTrainings.pareto, { summarize });

const summarize = ({ points, rewards, hypervolume, seconds }: ParetoRun): [string, string][] => [
  ['weight', rewards.join(', ')],
  ...points.map(({ weight, rewards: [first, second], dominated }): [string, string] => [
    weight === undefined ? 'start' : String(weight),
    `${figure(first)}, ${figure(second)}${dominated ? ' (dominated)' : ''}`,
  ]),
  ['hypervolume', figure(hypervolume)],
  ['time', duration(seconds)],
];
