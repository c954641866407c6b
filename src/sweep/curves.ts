/** Learning curves over seeds, from the results of cells. */
import { bootstrap, type Interval, mean, wilson } from '../run/intervals.ts';
import type { CellResult } from './cell.ts';

/** The learning curve of a variant, over its seeds. */
export interface LearningCurve {
  variant: string;
  seeds: number;
  /** Means over seeds of the greedy returns at each evaluation, with bootstrap intervals. */
  steps: number[];
  mean: number[];
  low: number[];
  high: number[];
  /** Mean over seeds of the final policies' returns, with its bootstrap interval. */
  return: number;
  returnInterval: Interval;
  /** Seeds whose final policy reached the target, and the share's Wilson interval. */
  reached: number;
  shareInterval: Interval;
}

/** A curve for each variant; empty if none of its seeds is finished. */
export const curvesOf = (
  results: readonly CellResult[],
  variants: readonly string[],
  target: number,
): LearningCurve[] =>
  variants.map((variant) => {
    const seeds = results.filter((one) => one.variant === variant);
    const finals = seeds.map((one) => one.return);
    // learners step by rollouts of their own size: one that evaluates at other steps is another method, not another
    // seed
    const steps = seeds[0]?.curve.map(({ step }) => step) ?? [];
    const at = steps.map((_, i) => seeds.flatMap(({ curve }) => curve[i]?.return ?? []));
    const intervals = at.map((values) => bootstrap(values, mean));
    const reached = finals.filter((value) => value >= target).length;
    return {
      variant,
      seeds: seeds.length,
      steps,
      mean: at.map(mean),
      low: intervals.map(([low]) => low),
      high: intervals.map(([, high]) => high),
      return: mean(finals),
      returnInterval: bootstrap(finals, mean),
      reached,
      shareInterval: wilson(reached / seeds.length, seeds.length),
    };
  });
