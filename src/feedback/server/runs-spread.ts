/** Distributions of numbers of a run's completions, step by step, for histograms. */
import type { SampleIndex } from '../../run/samples.ts';

/** The distribution of each number of a run's completions, step by step. */
export interface Spread {
  /** The steps, at most 80 of them. */
  steps: number[];
  /** By the name of the number: ends of the bins, and per step the mean and the share of values in each bin. */
  of: Record<string, { least: number; greatest: number; means: (number | null)[]; shares: number[][] }>;
}

const BINS = 24;
/** More steps would be too narrow to see. */
const STEPS = 80;
/** Completions of a step. */
const MOST = 1000;

/** Computes the distributions: of all completions if the run recorded their numbers, else of its samples. */
export function spreadOf(samples: SampleIndex): Spread {
  const kind = samples.counts().spread ? 'spread' : 'completion';
  const all = samples.steps(kind);
  const count = Math.min(STEPS, all.length);
  // the first and the last, and evenly between
  const steps = Array.from(
    { length: count },
    (_, i) => all[Math.round((i * (all.length - 1)) / Math.max(1, count - 1))],
  );
  const values = steps.map((step) => valuesOf(samples.read({ kind, step, limit: MOST }).samples as Row[]));
  const names = [...new Set(values.flatMap((one) => [...one.keys()]))];
  const entries = names.map((name) => {
    const columns = values.map((one) => (one.get(name) ?? []).filter(Number.isFinite));
    return [name, binned(columns)] as const;
  });
  return { steps, of: Object.fromEntries(entries.filter(([, { greatest }]) => Number.isFinite(greatest))) };
}

type Row = Record<string, unknown>;

/** Numbers of all completions come in one row; a sample is a row of its own. */
function valuesOf(rows: readonly Row[]): Map<string, number[]> {
  const values = new Map<string, number[]>();
  const add = (name: string, value: unknown) => {
    if (typeof value === 'number') values.set(name, [...(values.get(name) ?? []), value]);
  };
  for (const { kind: _, step: __, index: ___, of: lists, ...row } of rows) {
    if (typeof lists === 'object' && lists !== null) {
      for (const [name, list] of Object.entries(lists)) {
        if (Array.isArray(list))
          values.set(
            name,
            list.filter((value) => typeof value === 'number'),
          );
      }
      continue;
    }
    for (const [name, value] of Object.entries(row)) add(name, value);
    if (typeof row.text === 'string') add('characters', row.text.length);
  }
  return values;
}

function binned(columns: readonly (readonly number[])[]): Spread['of'][string] {
  let [least, greatest] = [Infinity, -Infinity];
  for (const value of columns.flat()) {
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
  }
  const width = (greatest - least) / BINS || 1;
  const shares = columns.map((values) => {
    const counts = new Array<number>(BINS).fill(0);
    for (const value of values) counts[Math.min(BINS - 1, Math.floor((value - least) / width))] += 1 / values.length;
    return counts;
  });
  const means = columns.map((values) =>
    values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : null,
  );
  return { least, greatest, means, shares };
}
