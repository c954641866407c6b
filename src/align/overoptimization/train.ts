/** Over-optimization in a run's folder: one way after another, each a run of its own in a folder of this one. */
import { join } from 'node:path';
import { createRun, driveRun, isRun, openRun, type TrainParts } from '../../run/index.ts';
import { trainBestOfN } from '../best-of-n/train.ts';
import { trainPolicy } from '../policies/train.ts';
import { type OveroptimizationCurve, readCurves } from './curves.ts';
import type { Observatory, Way } from './overoptimization.ts';

export interface OveroptimizationResult {
  /** The run's folder. */
  run: string;
  curves: OveroptimizationCurve[];
  seconds: number;
}

/** How far all ways together are. */
export interface OveroptimizationStep {
  step: number;
  /** Of the way that is under way, counted from 1. */
  way: number;
}

/** Goes on from where the run's ways stopped. Undefined where the signal stopped it. */
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

/** Takes a way to its end in its own run, which is begun or gone on with. The learner is released. */
async function withRun<L extends { name: string; options: { seed: number }; [Symbol.dispose](): void }, S, R>(
  { folder, method }: Way,
  learner: L,
  parts: TrainParts<S>,
  train: (learner: L, parts: TrainParts<S>) => Promise<R>,
): Promise<R> {
  const { name, options } = learner;
  const path = join(parts.run.folder, folder);
  const told = { name, command: method === 'rl' ? 'ppo' : method, config: options, seed: options.seed };
  try {
    const run = isRun(path) ? openRun(path) : createRun(path, told);
    try {
      return await train(learner, { ...parts, run });
    } finally {
      run.close();
    }
  } finally {
    learner[Symbol.dispose]();
  }
}
