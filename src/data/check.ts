/** Checks a dataset: bad rows, duplicates, rows shared with another split, unbalanced labels. */
import { exactKey, nearKey, promptKey, textsOf } from './content.ts';
import { readDataset, sourcesOf } from './dataset.ts';
import { byFrequency, tally } from './inspect.ts';
import type { BadRow, Place } from './row.ts';
import type { Data } from './rows.ts';

/** A row that repeats an earlier one. */
export interface Duplicate extends Place {
  /** The earlier row. */
  of: Place;
  /** True for an exact copy; false if they differ in case, spaces or punctuation. */
  exact: boolean;
}

/** What `check` found in a dataset. */
export interface Checked {
  /** Files read, in order. */
  files: string[];
  /** Rows in all, bad ones included. */
  rows: number;
  /** Rows that cannot be read, or lack a field. */
  bad: BadRow[];
  /** Sound rows by format, as they stand in the files. Several formats may not belong together. */
  formats: Record<string, number>;
  /** Rows that repeat an earlier row. */
  duplicates: Duplicate[];
  /** With `against`: rows that the other data has too, exactly or nearly, and the number of shared prompts. */
  leakage?: { rows: Place[]; prompts: number };
  /** Sound rows by label (unpaired preferences) and by source column. */
  balance: { label: Record<string, number>; source: Record<string, number> };
  /** Preferences whose completions are equal. */
  identical: Place[];
  /** Share of preferences whose chosen completion is the longer one, among those that differ in length. */
  longerWins?: number;
}

/** What `check` compares, besides the rows themselves. */
export interface CheckOptions {
  /** Other data, such as the training split of a test split. */
  against?: Data | readonly string[];
  /** The column that names the source of a row. */
  source?: string;
}

/** Reads a dataset, and the data it is checked against, once. Memory grows by a few numbers per row. */
export async function check(
  data: Data | readonly string[],
  { against, source = 'source' }: CheckOptions = {},
): Promise<Checked> {
  const others = against === undefined ? undefined : await keysOf(against);
  const formats = new Map<string, number>();
  const labels = new Map<string, number>();
  const sources = new Map<string, number>();
  const seen = { exact: new Map<number, Place>(), near: new Map<number, Place>() };
  const longer = { chosen: 0, rejected: 0 };
  const result: Checked = {
    files: sourcesOf(data),
    rows: 0,
    bad: [],
    formats: {},
    duplicates: [],
    ...(others && { leakage: { rows: [], prompts: 0 } }),
    balance: { label: {}, source: {} },
    identical: [],
  };
  const onSkip = (bad: BadRow) => result.bad.push(bad);
  for await (const found of readDataset(data, { onBadRow: 'skip', onSkip })) {
    const { value, format, originalFormat, file, line, row } = found;
    const place = { file, line, row };
    result.rows++;
    tally(formats, originalFormat);
    if (format === 'unpaired-preference') tally(labels, String(value.label));
    if (value[source] !== undefined && value[source] !== null) tally(sources, nameOf(value[source]));
    const keys = { exact: exactKey(value, format), near: nearKey(value, format) };
    const [same, alike] = [seen.exact.get(keys.exact), seen.near.get(keys.near)];
    if (same || alike) result.duplicates.push({ ...place, of: (same ?? alike)!, exact: same !== undefined });
    if (!same) seen.exact.set(keys.exact, place);
    if (!alike) seen.near.set(keys.near, place);
    if (others?.rows.has(keys.near)) result.leakage!.rows.push(place);
    if (others?.prompts.has(promptKey(value, format) ?? Number.NaN)) result.leakage!.prompts++;
    if (format === 'preference' || format === 'implicit-preference') {
      const texts = textsOf(value, format);
      const [chosen, rejected] = [texts.get('chosen')!, texts.get('rejected')!];
      if (chosen === rejected) result.identical.push(place);
      if (chosen.length > rejected.length) longer.chosen++;
      if (chosen.length < rejected.length) longer.rejected++;
    }
  }
  result.rows += result.bad.length;
  result.formats = byFrequency(formats);
  result.balance = { label: byFrequency(labels), source: byFrequency(sources) };
  const differ = longer.chosen + longer.rejected;
  if (differ > 0) result.longerWins = longer.chosen / differ;
  return result;
}

const nameOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

async function keysOf(data: Data | readonly string[]): Promise<{ rows: Set<number>; prompts: Set<number> }> {
  const keys = { rows: new Set<number>(), prompts: new Set<number>() };
  for await (const { value, format } of readDataset(data, { onBadRow: 'skip' })) {
    keys.rows.add(nearKey(value, format));
    const prompt = promptKey(value, format);
    if (prompt !== undefined) keys.prompts.add(prompt);
  }
  return keys;
}
