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
    create: (settings) => createPpoLearner(settings),
    about: ({ options }) => ({ name: options.env, steps: options.steps }),
    train: trainPpo,
    report: ppoReport,
    live: ({ evaluation }) => seenReturn(evaluation),
    tell: ({ return: evaluated, steps, seconds, stepsPerSecond }) => [
      ['return', returned(evaluated)],
      ['steps', `${steps.toLocaleString('en-US')}, ${count(stepsPerSecond)} a second`],
      ['time', duration(seconds)],
    ],
  });
}

/** The latest return, for the progress line. */
export const seenReturn = (evaluation: { mean: number } | undefined): Record<string, number> =>
  evaluation ? { return: evaluation.mean } : {};

export const returned = ({ mean, std, episodes }: { mean: number; std: number; episodes: number }) =>
  `${mean.toFixed(1)} ± ${std.toFixed(1)} over ${episodes} greedy episodes`;
