/** The record of the measurement of over-optimization. */

import { join } from '../../node.ts';
import { driveRun, type TrainParts } from '../../run/drive.ts';
import { duration, figure } from '../../run/progress.ts';
import { createRun, isRun, openRun } from '../../run/run.ts';
import { named, opened, type TrainingRecord } from '../../run/training-record.ts';
import { trainBestOfN } from '../best-of-n/train.ts';
import { trainPolicy } from '../policies/train.ts';
import { type CurvePoint, type OveroptimizationCurve, readCurves } from './curves.ts';
import { createOveroptimization, type Observatory, overoptimizationSchema, type Way } from './overoptimization.ts';
import { overoptimizationReport } from './report.ts';

/** The result of `trainOveroptimization`. */
export interface OveroptimizationResult {
  /** The run's folder. */
  run: string;
  /** A curve per way. */
  curves: OveroptimizationCurve[];
  /** Seconds that the run took. */
  seconds: number;
}

/** The progress of all ways together. */
export interface OveroptimizationStep {
  /** Steps of all ways so far. */
  step: number;
  /** Number of the current way, from 1. */
  way: number;
}

/** Runs all ways in a run's folder. Resumes where they stopped. Returns undefined when the signal stops it. */
export function trainOveroptimization(
  { ways, open }: Observatory,
  parts: TrainParts<OveroptimizationStep>,
): Promise<OveroptimizationResult | undefined> {
  const { run } = parts;
  let finished = 0;
  return driveRun(
    {
      async next(signal) {
        const way = ways[finished];
        const before = ways.slice(0, finished).reduce((sum, { steps }) => sum + steps, 0);
        const inner = {
          ...parts,
          onStep: ({ step }: { step: number }) => parts.onStep?.({ step: before + step, way: finished + 1 }),
          onWarning: (text: string) => (parts.onWarning ?? process.emitWarning)(`${way.name}: ${text}`),
        };
        const result =
          way.method === 'rl'
            ? await withRun(way, await open.rl(way.settings), inner, trainPolicy)
            : await withRun(way, await open['best-of-n'](way.settings), inner, trainBestOfN);
        if (!result) throw signal!.reason;
        finished++;
        return { step: finished, curve: readCurves(run.folder, [way])[0], done: finished === ways.length };
      },
      save: () => ({ state: { finished }, tensors: {} }),
      restore({ state }) {
        ({ finished } = state as { finished: number });
      },
    },
    {
      ...parts,
      onStep: undefined,
      before: () => ({}),
      record: ({ curve: { peak, last } }) => ({
        'peak/kl': peak.kl,
        'peak/proxy': peak.proxy,
        'peak/gold': peak.gold,
        'last/kl': last.kl,
        'last/proxy': last.proxy,
        'last/gold': last.gold,
      }),
      result: (_, seconds) => ({ run: run.folder, curves: readCurves(run.folder, ways), seconds }),
    },
  );
}

/** Runs a way to its end in a run of its own, new or resumed. Disposes of the learner. */
async function withRun<L extends { name: string; options: { seed: number }; [Symbol.dispose](): void }, S, R>(
  { folder, method }: Way,
  learner: L,
  parts: TrainParts<S>,
  train: (learner: L, parts: TrainParts<S>) => Promise<R>,
): Promise<R> {
  const { name, options } = learner;
  const path = join(parts.run.folder, folder);
  const info = { name, command: method === 'rl' ? 'ppo' : method, config: options, seed: options.seed };
  try {
    const run = isRun(path) ? openRun(path, options) : createRun(path, info);
    try {
      return await train(learner, { ...parts, run });
    } finally {
      run.close();
    }
  } finally {
    learner[Symbol.dispose]();
  }
}

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
