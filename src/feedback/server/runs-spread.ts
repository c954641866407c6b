/** How numbers of a run's answers are spread, step by step: what histograms are drawn of. */
import type { SampleIndex } from '../../run/samples.ts';

export interface Spread {
  steps: number[];
  /** Of each number by its name: the ends of its bins, and the share of the values in each of them, step by step. */
  of: Record<string, { least: number; greatest: number; means: (number | null)[]; shares: number[][] }>;
}

const BINS = 24;
/** More steps are no wider than a few pixels. */
const STEPS = 80;
/** Answers of a step. */
const MOST = 1000;

/** Of all answers where a run tells of all, else of those that it kept to be read. */
export function spreadOf(samples: SampleIndex): Spread {
  const kind = samples.counts().spread ? 'spread' : 'answer';
  const all = samples.steps(kind);
  const count = Math.min(STEPS, all.length);
  // the first and the last, and evenly between
  const steps = Array.from(
    { length: count },
    (_, i) => all[Math.round((i * (all.length - 1)) / Math.max(1, count - 1))],
  );
  const found = steps.map((step) => valuesOf(samples.read({ kind, step, limit: MOST }).samples as Row[]));
  const names = [...new Set(found.flatMap((values) => [...values.keys()]))];
  const of = names.map((name) => {
    const columns = found.map((values) => (values.get(name) ?? []).filter(Number.isFinite));
    return [name, binned(columns)] as const;
  });
  return { steps, of: Object.fromEntries(of.filter(([, { greatest }]) => Number.isFinite(greatest))) };
}

type Row = Record<string, unknown>;

/** What is told of all answers comes in one row; an answer that can be read is a row of its own. */
function valuesOf(rows: readonly Row[]): Map<string, number[]> {
  const values = new Map<string, number[]>();
  const add = (name: string, value: unknown) => {
    if (typeof value === 'number') values.set(name, [...(values.get(name) ?? []), value]);
  };
  for (const { kind: _, step: __, index: ___, of, ...row } of rows) {
    if (typeof of === 'object' && of !== null) {
      for (const [name, list] of Object.entries(of)) {
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
