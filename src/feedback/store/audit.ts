/** The audit log: what was done to the store besides judgments, and by whom. Lines are only added. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { z } from 'zod';
import { type AuditLine, chained, ERASED } from './audit-chain.ts';
import { atOnce, beforeCommit, type Database, type DatabaseQuery, kindOfQuery } from './database.ts';

/** A new id for a row of any table. */
export const newId = (): string => randomUUID();

/** A line to add to the audit log. */
export interface NewAuditLine {
  /** Id of the project that it is about. */
  project?: string | null;
  /** Id of who did it. */
  person?: string | null;
  /** What was done, such as "settings changed". */
  kind: string;
  /** Further fields by kind. */
  detail?: object;
}

/**
 * Adds a line to the audit log, in the transaction that `query` is. It is added when that commits: the log takes one
 * line at a time, and whoever waits for that holds up nobody else.
 */
export const note = (query: DatabaseQuery, line: NewAuditLine): Promise<void> =>
  beforeCommit(query, (query) => appendLine(query, line));

/** Any number will do, if nothing else in the database locks it. */
const LOCK = 0x68656564;

/** Lets no other transaction write to the audit log until the one that `query` is ends. */
export async function lockAudit(query: DatabaseQuery): Promise<void> {
  // in SQLite, a transaction that may write is the only one
  if (kindOfQuery(query) === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(LOCK)})`.execute(query);
}

/** Adds a line to the audit log now, and returns where it stands. Others cannot add any until the transaction ends. */
export const appendLine = (
  query: DatabaseQuery,
  { project = null, person = null, kind, detail = {} }: NewAuditLine,
): Promise<Pick<AuditLine, 'seq' | 'hash' | 'created'>> =>
  atOnce(query, async (query) => {
    await lockAudit(query);
    const last = await query
      .selectFrom('events')
      .select(['seq', 'hash'])
      .orderBy('seq', 'desc')
      .limit(1)
      .executeTakeFirst();
    const fields = { project, person, kind, detailJson: JSON.stringify(detail), created: Date.now() };
    const line = chained({ ...fields, seq: (last?.seq ?? 0) + 1 }, last);
    await query.insertInto('events').values(line).execute();
    return line;
  });

/** A line that a person wrote, or that names them. */
export type LineAbout = Pick<AuditLine, 'seq' | 'created' | 'project' | 'kind' | 'detailJson'> & { byThem: boolean };

/**
 * The lines of what a person did, and those that have their name as a value among the details, from the first. A name
 * in the middle of a longer text is not found.
 */
export async function linesAbout(query: DatabaseQuery, { id, name }: { id: string; name: string }) {
  const rows = await query
    .selectFrom('events')
    .select(['seq', 'created', 'project', 'person', 'kind', 'detailJson'])
    .where(({ or, eb }) => or([eb('person', '=', id), eb('detailJson', 'like', `%${JSON.stringify(name)}%`)]))
    .orderBy('seq')
    .execute();
  return rows.flatMap(({ person, ...row }): LineAbout[] => {
    const byThem = person === id;
    return byThem || hasValue(JSON.parse(row.detailJson), name) ? [{ ...row, byThem }] : [];
  });
}

const hasValue = (value: unknown, wanted: string): boolean =>
  value === wanted ||
  (typeof value === 'object' && value !== null && Object.values(value).some((part) => hasValue(part, wanted)));

/** Lines of one statement: databases limit its values. */
const AT_ONCE = 500;

/**
 * Erases who did it, and the details, of lines; their hashes still fit. Returns the lines as ranges, for the detail
 * `erased` of a line of one of the kinds `erasures`, which has to be added in the same transaction.
 */
export async function eraseLines(
  query: DatabaseQuery,
  lines: readonly number[],
): Promise<[from: number, to: number][]> {
  const sorted = [...new Set(lines)].sort((a, b) => a - b);
  for (let from = 0; from < sorted.length; from += AT_ONCE) {
    await query
      .updateTable('events')
      .set({ person: null, detailJson: ERASED, salt: null })
      .where('seq', 'in', sorted.slice(from, from + AT_ONCE))
      .execute();
  }
  const ranges: [number, number][] = [];
  for (const line of sorted) {
    const last = ranges.at(-1);
    if (last && last[1] === line - 1) last[1] = line;
    else ranges.push([line, line]);
  }
  return ranges;
}

/** Kinds of lines that say which lines were erased. They are never erased themselves. */
export const erasures: readonly string[] = ['person deleted', 'retention applied'];

/** Checks an `AuditEntry`. */
export const auditEntrySchema = z.object({
  seq: z.number().int().describe('position in the log'),
  time: z.string().describe('when it happened, in ISO 8601'),
  person: z.string().nullable().describe('name of who did it; null for a command or a stranger'),
  project: z.string().nullable().describe('name of the project, if it still exists'),
  kind: z.string().describe('what was done, such as “settings changed”'),
  detail: z.record(z.string(), z.unknown()).describe('further fields by kind'),
  erased: z.boolean().describe('whether who did it and the details were deleted'),
  hash: z.string().describe('SHA-256 of the line and of the hash before it'),
});
/** A line of the audit log. */
export type AuditEntry = z.output<typeof auditEntrySchema>;

/** Options of `auditTrail`. */
export interface AuditOptions {
  /** Id of a project, for its lines alone. */
  project?: string;
  /** Only lines before this position. */
  before?: number;
  /** Lines at most; 100 by default. */
  limit?: number;
}

/** The audit log, the newest line first. */
export async function auditTrail(
  { query }: Pick<Database, 'query'>,
  { project, before, limit = 100 }: AuditOptions = {},
): Promise<AuditEntry[]> {
  const rows = await query
    .selectFrom('events')
    .leftJoin('people', 'people.id', 'events.person')
    .leftJoin('projects', 'projects.id', 'events.project')
    .select([
      'events.seq',
      'events.created',
      'events.kind',
      'events.detailJson',
      'events.salt',
      'events.hash',
      'people.name as person',
      'projects.name as project',
    ])
    .$if(project !== undefined, (select) => select.where('events.project', '=', project!))
    .$if(before !== undefined, (select) => select.where('events.seq', '<', before!))
    .orderBy('events.seq', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ seq, kind, person, project, created, detailJson, salt, hash }) => ({
    seq,
    kind,
    person,
    project,
    time: new Date(created).toISOString(),
    detail: JSON.parse(detailJson),
    erased: salt === null,
    hash,
  }));
}

/** All of the audit log as rows of a dataset, the newest first. */
export async function* exportAudit(database: Pick<Database, 'query'>): AsyncGenerator<Record<string, unknown>> {
  for (let before: number | undefined; ; ) {
    const lines = await auditTrail(database, { before, limit: 1000 });
    for (const line of lines) yield { ...line, detail: JSON.stringify(line.detail) };
    if (lines.length < 1000) return;
    before = lines.at(-1)!.seq;
  }
}
