/** heed rl: PPO on the environment's own reward. */
import type { Command } from 'commander';
import { ppoReport } from '../rl/report.ts';
import { createPpoLearner, rlSchema, trainPpo } from '../rl/train.ts';
import { count, duration } from '../run/progress.ts';
import { addTraining } from './training.ts';

export function addRl(command: Command): void {
  addTraining(command, {
    command: 'rl',
    schema: rlSchema,
    create: createPpoLearner,
    train: trainPpo,
    report: ppoReport,
    tell: ({ return: evaluated, steps, seconds, stepsPerSecond }) => [
      ['return', returned(evaluated)],
      ['steps', `${steps.toLocaleString('en-US')}, ${count(stepsPerSecond)} a second`],
      ['time', duration(seconds)],
    ],
  });
}

export const returned = ({ mean, std, episodes }: { mean: number; std: number; episodes: number }) =>
  `${mean.toFixed(1)} ± ${std.toFixed(1)} over ${episodes} greedy episodes`;
