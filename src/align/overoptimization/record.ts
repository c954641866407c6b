/** The record of the measurement of over-optimization. */
import { duration, figure } from '../../run/progress.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import type { CurvePoint } from './curves.ts';
import { createOveroptimization, overoptimizationSchema } from './overoptimization.ts';
import { overoptimizationReport } from './report.ts';
import { type OveroptimizationResult, type OveroptimizationStep, trainOveroptimization } from './train.ts';

export const overoptimization: TrainingRecord = {
  name: 'overoptimization',
  ...opened(overoptimizationSchema, createOveroptimization),
  about: named.about,
  train: trainOveroptimization,
  report: overoptimizationReport,
  summarize: ({ curves, seconds }: OveroptimizationResult) => [
    ...curves.map(({ name, method, peak, last }): [string, string] => [
      method === 'rl' || name === 'best of n' ? name : `best of n, ${name}`,
      `gold ${point(peak)} at its peak${last.at === peak.at ? '' : `, then ${point(last)}`}`,
    ]),
    ['time', duration(seconds)],
  ],
  live: ({ way }: OveroptimizationStep) => ({ curve: way }),
};

const point = ({ gold, kl }: CurvePoint) => `${figure(gold)} (KL ${figure(kl)})`;
