/** heed ppo: proximal policy optimisation against a reward. */
import type { Command } from 'commander';
import type { PolicyResult } from '../align/index.ts';
import { duration, figure } from '../run/progress.ts';
import { addTraining } from './training.ts';

export const addPpo = (command: Command): void => addTraining(command, 'ppo', { tell: toldReward });

export const toldReward = ({ model, reward, kl, measures, seconds }: PolicyResult): [string, string][] => [
  ['reward', `${figure(reward.after)}, from ${figure(reward.before)}`],
  ['KL', `${figure(kl)} nats an answer from the reference`],
  ...Object.entries(measures ?? {}).map(([name, value]): [string, string] => [name, figure(value)]),
  ['time', duration(seconds)],
  ['model', model],
];
