/** heed ppo: proximal policy optimisation against a reward. */
import type { Command } from 'commander';
import {
  createPpo,
  type PolicyResult,
  type PolicyStep,
  type PpoInput,
  policyReport,
  ppoSchema,
  trainPolicy,
} from '../align/index.ts';
import { duration, figure } from '../run/progress.ts';
import { pullProgress } from './pull.ts';
import { addTraining } from './training.ts';

export function addPpo(command: Command): void {
  addTraining(command, {
    command: 'ppo',
    schema: ppoSchema,
    create(settings, tell) {
      const { done, ...pull } = pullProgress('pull');
      return createPpo(settings as PpoInput, { pull, tell }).finally(done);
    },
    about: ({ name, steps }) => ({ name, steps }),
    train: trainPolicy,
    report: policyReport,
    live: liveReward,
    tell: toldReward,
  });
}

/** What a policy's training comes to, for the progress line. */
export const liveReward = ({ metrics, evaluation, tokensPerSecond }: PolicyStep): Record<string, number> => ({
  reward: metrics['reward/mean'],
  kl: metrics['kl/mean'],
  'tokens/s': tokensPerSecond,
  ...(evaluation && { eval: evaluation.reward }),
});

export const toldReward = ({ model, reward, kl, measures, seconds }: PolicyResult): [string, string][] => [
  ['reward', `${figure(reward.after)}, from ${figure(reward.before)}`],
  ['KL', `${figure(kl)} nats an answer from the reference`],
  ...Object.entries(measures ?? {}).map(([name, value]): [string, string] => [name, figure(value)]),
  ['time', duration(seconds)],
  ['model', model],
];
