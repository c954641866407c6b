/** Counts what cannot be carried from one tool to another: nothing is lost silently. */
import { z } from 'zod';

/** Checks a `LeftOutCount`. */
export const leftOutSchema = z.object({
  what: z.string().describe('what it is, such as: answers to the question "entities" (span), which heed does not have'),
  records: z.number().int().describe('records that have it'),
  of: z.number().int().describe('records in all'),
});
/** Something that could not be carried. */
export type LeftOutCount = z.output<typeof leftOutSchema>;

/** Counts what is left out, by records. */
export interface LeftOut {
  /** Begins the next record. */
  next(): void;
  /** Counts something of the current record; the same thing counts once for each record. */
  add(what: string): void;
  /** Adds a count that was made elsewhere. */
  note(count: LeftOutCount): void;
  /** What was counted, the most frequent first. */
  counts(): LeftOutCount[];
}

/** Creates a count. */
export function createLeftOut(): LeftOut {
  const found = new Map<string, { records: number; latest: number }>();
  const noted: LeftOutCount[] = [];
  let total = 0;
  return {
    next() {
      total++;
    },
    add(what) {
      const one = found.get(what);
      if (one?.latest === total) return;
      found.set(what, { records: (one?.records ?? 0) + 1, latest: total });
    },
    note: (count) => void noted.push(count),
    counts: () =>
      [...Array.from(found, ([what, { records }]) => ({ what, records, of: total })), ...noted].sort(
        (a, b) => b.records - a.records,
      ),
  };
}

/** Counts items whose judgments make no row of an export. */
export const undecided =
  (left: LeftOut) =>
  (judgments: number, rows: number): void => {
    left.next();
    if (judgments === 0 || rows > 0) return;
    left.add('judgments that prefer no option, such as ties and even splits');
  };
