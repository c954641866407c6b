/** The records of policy gradients without a critic, and of the Pareto front of two rewards. */
import { duration, figure } from '../../run/progress.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import { policyRecord } from '../policies/record.ts';
import { createGrpo, grpoSchema } from './grpo.ts';
import { createPareto, type ParetoStep, paretoSchema } from './pareto.ts';
import { diagnoseFront, type ParetoRun, paretoReport, trainPareto } from './pareto-train.ts';
import { createReinforce, createRloo, reinforceSchema, rlooSchema } from './reinforce.ts';

export const reinforce = policyRecord('reinforce', reinforceSchema, createReinforce);
export const rloo = policyRecord('rloo', rlooSchema, createRloo);
export const grpo = policyRecord('grpo', grpoSchema, createGrpo);

export const pareto: TrainingRecord = {
  name: 'pareto',
  ...opened(paretoSchema, createPareto),
  about: named.about,
  train: trainPareto,
  report: paretoReport,
  diagnose: diagnoseFront,
  summarize: ({ points, rewards, hypervolume, seconds }: ParetoRun) => [
    ['weight', rewards.join(', ')],
    ...points.map(({ weight, rewards: [first, second], dominated }): [string, string] => [
      weight === undefined ? 'start' : String(weight),
      `${figure(first)}, ${figure(second)}${dominated ? ' (dominated)' : ''}`,
    ]),
    ['hypervolume', figure(hypervolume)],
    ['time', duration(seconds)],
  ],
  live: ({ weight, inner }: ParetoStep) => ({
    weight,
    reward: inner.metrics['reward/mean'],
    kl: inner.metrics['kl/mean'],
  }),
};
