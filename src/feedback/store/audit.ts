/** What every part of the store writes with. */
import { randomUUID } from 'node:crypto';
import type { Query } from './database.ts';

export const newId = (): string => randomUUID();

/** A row of the audit trail. */
export const note = (
  query: Query,
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
