/** Large tables, a part at a time: what a statement of SQLite reads keeps everybody else waiting meanwhile. */
import { setImmediate as breathe } from 'node:timers/promises';
import type { DatabaseQuery } from './database.ts';

/** Rows of a part, if they are read. */
const ROWS = 5000;
/** Rows of a part that PostgreSQL filters or counts by itself. It serves others meanwhile. */
export const LARGE_PART = 100_000;

/** The position of the latest row of a project in a table; 0 if there is none. */
export async function lastSeq(
  query: DatabaseQuery,
  table: 'items' | 'judgments' | 'events',
  project: string,
): Promise<number> {
  const { seq } = await query
    .selectFrom(table)
    .select((select) => select.fn.max('seq').as('seq'))
    .where('project', '=', project)
    .executeTakeFirstOrThrow();
  return seq ?? 0;
}

/** A part of a project's rows: those with `after < seq ≤ last`. */
export interface Part {
  after: number;
  last: number;
}

/** The parts of a project's rows in a table, in order of arrival. Between two of them, others get their turn. */
export async function* partsOf(
  query: DatabaseQuery,
  table: 'items' | 'judgments',
  project: string,
  rows = ROWS,
): AsyncGenerator<Part, void> {
  const end = await lastSeq(query, table, project);
  for (let after = 0; after < end; await breathe()) {
    const full = await query
      .selectFrom(table)
      .select('seq')
      .where('project', '=', project)
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(1)
      .offset(rows - 1)
      .executeTakeFirst();
    const last: number = Math.min(full?.seq ?? end, end);
    yield { after, last };
    after = last;
  }
}
