/** The audit trail: what was done to the store besides judgments, and by whom. */
import { randomUUID } from 'node:crypto';
import type { DatabaseQuery } from './database.ts';

/** A new id for a row of any table. */
export const newId = (): string => randomUUID();

/** Adds a row to the audit trail. */
export const note = (
  query: DatabaseQuery,
  {
    project = null,
    person = null,
    kind,
    detail = {},
  }: { project?: string | null; person?: string | null; kind: string; detail?: object },
): Promise<unknown> =>
  query
    .insertInto('events')
    .values({ project, person, kind, detailJson: JSON.stringify(detail), created: Date.now() })
    .execute();
