/** heed rl: PPO, A2C, TRPO or SAC on the environment's own reward. */
import type { Command } from 'commander';
import { controlTrainings } from '../../pipeline/trainings/control.ts';
import type { RlRunResult } from '../../rl/train.ts';
import { count, duration } from '../../run/progress.ts';
import { addTraining } from '../run/run-training.ts';

export const addRl = (command: Command): void =>
  addTraining(command, 'rl', controlTrainings.rl, { summarize, checkedLate: true });

const summarize = ({ return: evaluated, steps, seconds, stepsPerSecond }: RlRunResult): [string, string][] => [
  ['return', returned(evaluated)],
  ['steps', `${steps.toLocaleString('en-US')}, ${count(stepsPerSecond)} a second`],
  ['time', duration(seconds)],
];

export const returned = ({ mean, std, episodes }: { mean: number; std: number; episodes: number }) =>
  `${mean.toFixed(1)} ± ${std.toFixed(1)} over ${episodes} greedy episodes`;
