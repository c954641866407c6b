/** A summary of a dataset: formats, lengths, duplicates. */
import { exactKey, nearKey, textsOf } from './content.ts';
import { readDataset, sourcesOf } from './dataset.ts';
import type { BadRow, Row } from './row.ts';
import type { Data } from './rows.ts';

/** Counts how often names occur. */

export function tally(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** Counts by name, the most frequent first. */
export const byFrequency = (counts: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries([...counts].sort(([, a], [, b]) => b - a));

/** Lengths of a part of the rows. */
export interface Lengths {
  /** Mean length. */
  mean: number;
  /** Median length. */
  median: number;
  /** 95th percentile. */
  p95: number;
  /** Longest length. */
  max: number;
}

/** What `inspect` found in a dataset. */
export interface Inspection {
  /** Files read, in order. */
  files: string[];
  /** Rows in all, bad ones included. */
  rows: number;
  /** Rows that cannot be read, or lack a field. */
  bad: number;
  /** The first such row. */
  firstBad?: BadRow;
  /** Rows of each format, as it stands in the files. */
  formats: Record<string, number>;
  /** Rows that have each column. */
  columns: Record<string, number>;
  /** Lengths of each part, in characters and, with a tokenizer, in tokens without those of a chat template. */
  lengths: Record<string, { characters: Lengths; tokens?: Lengths }>;
  /** Rows that repeat an earlier one exactly, and rows that do so except for case, spaces and punctuation. */
  duplicates: { exact: number; near: number };
  /** The first rows, as they stand in the files. */
  samples: Row[];
}

/** What `inspect` counts and shows. */
export interface InspectOptions {
  /** Counts the tokens of a text. */
  count?: (text: string) => number;
  /** Number of first rows to show. */
  samples?: number;
}

/** Reads a dataset once. Memory grows by a few numbers per row. */
export async function inspect(
  data: Data | readonly string[],
  { count, samples = 3 }: InspectOptions = {},
): Promise<Inspection> {
  const formats = new Map<string, number>();
  const columns = new Map<string, number>();
  const characters = new Map<string, number[]>();
  const tokens = new Map<string, number[]>();
  const seen = { exact: new Set<number>(), near: new Set<number>() };
  const result: Inspection = {
    files: sourcesOf(data),
    rows: 0,
    bad: 0,
    formats: {},
    columns: {},
    lengths: {},
    duplicates: { exact: 0, near: 0 },
    samples: [],
  };
  const onSkip = (bad: BadRow) => {
    result.firstBad ??= bad;
    result.bad++;
  };
  for await (const { value, format, original, originalFormat } of readDataset(data, {
    onBadRow: 'skip',
    onSkip,
  })) {
    result.rows++;
    tally(formats, originalFormat);
    for (const name of Object.keys(original)) tally(columns, name);
    if (result.samples.length < samples) result.samples.push(value);
    for (const [part, text] of textsOf(value, format)) {
      push(characters, part, text.length);
      if (count) push(tokens, part, count(text));
    }
    const [exact, near] = [exactKey(value, format), nearKey(value, format)];
    if (seen.exact.has(exact)) result.duplicates.exact++;
    else if (seen.near.has(near)) result.duplicates.near++;
    seen.exact.add(exact);
    seen.near.add(near);
  }
  result.rows += result.bad;
  result.formats = byFrequency(formats);
  result.columns = byFrequency(columns);
  for (const [part, lengths] of characters) {
    const inTokens = tokens.get(part);
    result.lengths[part] = { characters: summarized(lengths), ...(inTokens && { tokens: summarized(inTokens) }) };
  }
  return result;
}

function push(lists: Map<string, number[]>, name: string, value: number): void {
  const list = lists.get(name);
  if (list) list.push(value);
  else lists.set(name, [value]);
}

function summarized(lengths: number[]): Lengths {
  const sorted = Float64Array.from(lengths).sort();
  const n = sorted.length;
  return {
    mean: sorted.reduce((sum, length) => sum + length, 0) / n,
    median: (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2,
    p95: sorted[Math.ceil(0.95 * n) - 1],
    max: sorted[n - 1],
  };
}
