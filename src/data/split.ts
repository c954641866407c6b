/** Training, validation and test data from one dataset, without overlap. */

import { z } from 'zod';
import { HeedError } from '../error.ts';
import { optionalText, parseOptions, share, wholeNumber } from '../options.ts';
import { random } from '../random.ts';
import { nearKey } from './content.ts';
import { type DatasetOptions, isInMemory, readDataset } from './dataset.ts';
import type { Row } from './row.ts';
import { collectRows, type Data } from './rows.ts';

/** Options of `split`. Shares are of all rows; the rest is the training split. */
export const splitSchema = z
  .object({
    test: share().default(0.1).describe('share of the rows for the test split'),
    validation: share().default(0).describe('share of the rows for the validation split'),
    seed: wholeNumber(0).default(0).describe('seed of the shuffle'),
    by: optionalText('column whose equal values keep rows in one split, such as prompt'),
  })
  .refine(({ test, validation }) => test + validation < 1, {
    path: ['test'],
    message: 'expected to leave a share for training beside --validation',
  });
/** Options of `split`, defaults filled in. */
export type SplitOptions = z.infer<typeof splitSchema>;

/** Names of the splits. */
export const splits = ['train', 'validation', 'test'] as const;
/** A split's name. */
export type Split = (typeof splits)[number];

/** The result of `split`: the number of rows in each split, and the rows. */
export interface Splits {
  /** Number of rows of each split. */
  rows: Record<Split, number>;
  /**
   * Number of groups of rows that stay together: equal except for case, spaces and punctuation, or with the same value
   * in the column.
   */
  groups: number;
  /** The rows of a split as they stand in the files, read again. */
  read(split: Split): AsyncGenerator<Row>;
}

/**
 * Assigns each sound row to a split at random. Groups stay whole: one that does not fit into the rest of a share goes
 * to the next split, so shares are met to within a group. @throws HeedError if no row has the column `by`.
 */
export async function splitDataset(
  data: Data | readonly string[],
  options: z.input<typeof splitSchema>,
  reading: Omit<DatasetOptions, 'accept'> = {},
): Promise<Splits> {
  const { test, validation, seed, by } = parseOptions(splitSchema, options);
  const source = isInMemory(data) ? await collectRows(data) : data; // read twice
  const groups = await groupsOf(source, by, reading);
  const members: number[] = [];
  for (const group of groups) members[group] = (members[group] ?? 0) + 1;
  const order = random(seed, 'split').shuffle(Uint32Array.from(members.keys()));
  const place = new Uint8Array(members.length); // train, unless drawn
  const rows = { train: groups.length, validation: 0, test: 0 };
  for (const [name, size] of [
    ['test', test],
    ['validation', validation],
  ] as const) {
    const most = Math.round(size * groups.length);
    for (const group of order) {
      if (place[group] !== 0 || rows[name] + members[group] > most) continue;
      place[group] = splits.indexOf(name);
      rows[name] += members[group];
      rows.train -= members[group];
    }
  }
  return {
    rows,
    groups: members.length,
    async *read(name) {
      let i = 0;
      for await (const { original } of readDataset(source, { ...reading, onSkip: undefined })) {
        if (place[groups[i++]] === splits.indexOf(name)) yield original;
      }
    },
  };
}

/** The group of each row, from 0 in the order in which they begin. */
async function groupsOf(
  data: readonly object[] | string | readonly string[],
  by: string | undefined,
  reading: Omit<DatasetOptions, 'accept'>,
): Promise<Uint32Array> {
  const parent: number[] = []; // a forest whose trees are the groups
  const root = (i: number): number => {
    while (parent[i] !== i) {
      parent[i] = parent[parent[i]];
      i = parent[i];
    }
    return i;
  };
  const first = new Map<string | number, number>();
  let found = false;
  for await (const { value, format, original } of readDataset(data, reading)) {
    const i = parent.length;
    parent.push(i);
    const column = by === undefined ? undefined : (value[by] ?? original[by]);
    if (column !== undefined) found = true;
    for (const key of [nearKey(value, format), ...(column === undefined ? [] : [JSON.stringify(column)])]) {
      const other = first.get(key);
      if (other === undefined) first.set(key, i);
      else parent[root(i)] = root(other);
    }
  }
  if (by !== undefined && !found) {
    throw new HeedError(`no row has the column "${by}", by which rows should stay together`, {
      hint: '"heed data inspect" lists the columns.',
    });
  }
  const numbers = new Map<number, number>();
  return Uint32Array.from(parent, (_, i) => {
    const top = root(i);
    if (!numbers.has(top)) numbers.set(top, numbers.size);
    return numbers.get(top)!;
  });
}
