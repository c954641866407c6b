/** heed rl: PPO, A2C, TRPO or SAC on the environment's own reward. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { controlTrainings } from '../../pipeline/trainings/control.ts';
import type { RlRunResult } from '../../rl/train.ts';
import { count, duration } from '../../run/progress.ts';
import { readMetrics } from '../../run/run.ts';
import { addTraining } from '../run/run-training.ts';
import { showDefaultsByEnvironment } from './defaults.ts';

export function addRl(command: Command): void {
  addTraining(command, 'rl', controlTrainings.rl, { summarize, checkedLate: true });
  showDefaultsByEnvironment(command, controlTrainings.rl);
}

const summarize = ({ run, return: evaluated, steps, seconds, stepsPerSecond }: RlRunResult): [string, string][] => [
  ['return', `${returned(evaluated)}${untrainedReturn(run)}`],
  ['steps', `${steps.toLocaleString('en-US')}, ${count(stepsPerSecond)} a second`],
  ['time', duration(seconds)],
];

export const returned = ({ mean, std, episodes }: { mean: number; std: number; episodes: number }) =>
  `${mean.toFixed(1)} ± ${std.toFixed(1)} over ${episodes} greedy episodes`;

/** The return before training, as text that follows the one after it; empty if the run has not measured it. */
export function untrainedReturn(run: string): string {
  if (!existsSync(run)) return ''; // on the cluster that trained it
  const before = readMetrics(run).find(({ step }) => step === 0)?.['return/mean'];
  return before === undefined ? '' : `, from ${before.toFixed(1)} untrained`;
}
