/** How many labels each variant of the settings needs, from the results of cells. */
import { bootstrap, type Interval, median, wilson } from '../run/intervals.ts';
import type { CellResult } from './cell.ts';
import type { Variant } from './variants.ts';

/** The outcome of a variant with one number of labels. */
export interface LabelOutcome {
  labels: number;
  /** Number of finished seeds. */
  seeds: number;
  /** Number of seeds whose final policy reached the target. */
  reached: number;
  /** Share of those seeds, with Wilson's interval. */
  share: number;
  shareInterval: Interval;
  /** Median of the final policies' returns, with its bootstrap interval over seeds. */
  median: number;
  medianInterval: Interval;
}

/** How many labels a variant needs. */
export interface Needs {
  variant: string;
  /** The fewest labels with which enough seeds reached the target; Infinity if none of the numbers tried suffices. */
  labels: number;
  /** Bootstrap interval of `labels` over seeds. */
  interval: Interval;
  outcomes: LabelOutcome[];
}

/** How many labels each variant needs for a `share` of the seeds to reach `target`. */
export function needsOf(
  results: readonly CellResult[],
  {
    variants,
    labels: tried,
    target,
    share,
    seed,
    seeds,
  }: {
    variants: readonly Variant[];
    labels: readonly number[];
    target: number;
    share: number;
    seed: number;
    seeds: number;
  },
): Needs[] {
  const labels = [...tried].sort((a, b) => a - b);
  const byKey = new Map(results.map((one) => [one.key, one]));
  return variants.map(({ name }) => {
    const cellOf = (count: number, i: number) => byKey.get(`${name}, ${count} labels, seed ${seed + i}`);
    // one row per seed, so that a resample consists of whole rows
    const rows = Array.from({ length: seeds }, (_, i) => labels.map((count) => cellOf(count, i)?.return));
    const complete = rows.filter((row) => row.every((value) => value !== undefined));
    const fewest = (sample: readonly (readonly (number | undefined)[])[]) => {
      const enough = labels.findIndex((_, at) => {
        const returns = sample.flatMap((row) => row[at] ?? []);
        return returns.length > 0 && returns.filter((value) => value >= target).length >= share * returns.length;
      });
      return enough < 0 ? Number.POSITIVE_INFINITY : labels[enough];
    };
    return {
      variant: name,
      labels: fewest(rows),
      interval: bootstrap(complete, fewest),
      outcomes: labels.map((count, at) =>
        labelOutcome(
          count,
          rows.flatMap((row) => row[at] ?? []),
          target,
        ),
      ),
    };
  });
}

function labelOutcome(labels: number, returns: readonly number[], target: number): LabelOutcome {
  const reached = returns.filter((value) => value >= target).length;
  const share = reached / returns.length;
  return {
    labels,
    seeds: returns.length,
    reached,
    share,
    shareInterval: wilson(share, returns.length),
    median: returns.length > 0 ? median(returns) : Number.NaN,
    medianInterval: bootstrap(returns, median),
  };
}
