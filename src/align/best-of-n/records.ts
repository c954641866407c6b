/** The records of best of n, and of the algorithms that train on the best. */
import { duration, figure } from '../../run/progress.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import { policyRecord } from '../policies/record.ts';
import { type BestOfNStep, bestOfNSchema, createBestOfN } from './best-of-n.ts';
import { createRaft, raftSchema } from './raft.ts';
import { createRest, restSchema } from './rest.ts';
import { type BestOfNRun, bestOfNReport, trainBestOfN } from './train.ts';

export const raft = policyRecord('raft', raftSchema, createRaft);
export const rest = policyRecord('rest', restSchema, createRest);

export const bestOfN: TrainingRecord = {
  name: 'best-of-n',
  ...opened(bestOfNSchema, createBestOfN),
  about: named.about,
  train: trainBestOfN,
  report: bestOfNReport,
  summarize: ({ curve, data, seconds }: BestOfNRun) => [
    ...curve.map(({ n, kl, reward, gold }): [string, string] => [
      n === 1 ? 'reward' : `best of ${n}`,
      `${figure(reward)}${gold === undefined ? '' : `, by the second reward ${figure(gold)}`} (KL ${figure(kl)})`,
    ]),
    ['time', duration(seconds)],
    ['completions', data],
  ],
  live: ({ drawn }: BestOfNStep) => ({
    'reward of the best': drawn.reduce((sum, { rewards }) => sum + Math.max(...rewards), 0) / drawn.length,
  }),
  product: 'a dataset',
  path: 'best.jsonl',
};
