/** Backups of a store, and stores from backups: from SQLite or PostgreSQL, into either. */
import { existsSync, realpathSync, rmSync } from 'node:fs';
import { type Kysely, sql } from 'kysely';
import { HeedError, messageOf } from '../../error.ts';
import { type BackupFile, type BackupHeader, type BackupRow, openBackupFile, writeBackupFile } from './backup-file.ts';
import { connectStore, type Database, type DatabaseQuery, kindOf } from './database.ts';
import { migrate, schemaVersions } from './migrations.ts';
import type { Tables } from './schema.ts';
import { type AuditCheck, verifyAudit } from './verify-audit.ts';

const LEFT_OUT = ['sessions', 'signins', 'deliveries', 'webhooks'] as const;

/**
 * The tables of a backup, each after those that it refers to, and the columns that order its rows. Sessions
 * and sign-ins are left out: what has ended must not come back. Webhooks are
 * too: a restored copy must not tell others what the store itself has told them.
 */
const TABLES = {
  projects: ['id'],
  people: ['id'],
  identities: ['issuer', 'subject'],
  keys: ['id'],
  formerNames: ['name'],
  members: ['project', 'person'],
  guidelines: ['project', 'version'],
  items: ['seq'],
  leases: ['item', 'person'],
  judgments: ['seq'],
  latest: ['item', 'person'],
  tallies: ['project', 'person'],
  estimates: ['project', 'person'],
  reserved: ['item', 'person'],
  comments: ['id'],
  filters: ['project', 'name'],
  turns: ['id'],
  events: ['seq'],
  retention: ['project', 'rule'],
} as const satisfies Record<Exclude<keyof Tables, (typeof LEFT_OUT)[number]>, readonly string[]>;
type TableName = keyof typeof TABLES;
const NAMES = Object.keys(TABLES) as TableName[];
/** The tables whose rows the database numbers. */
const NUMBERED = ['items', 'judgments'] as const;

/** Rows that one request to PostgreSQL brings. */
const FETCH = 200;
/** What one statement inserts at most: rows, and about as many characters. */
const INSERT = { rows: 200, characters: 2 ** 20 };
/** How often `onRows` is called, in rows. */
const REPORT = 1000;

/** Options of `backupStore`. */
export interface BackupOptions {
  /** Path of the store's SQLite file, or its `postgres://…` address. */
  store: string;
  /** Path of the file to write; a file there is replaced when the new one is whole. */
  out: string;
  /** Encrypts the file with this passphrase. */
  passphrase?: string;
  /** Is told now and then how many rows are done, of how many. What it returns is waited for. */
  onRows?: (rows: number, total: number) => void | Promise<void>;
}

/** Options of `checkBackup`. */
export interface CheckBackupOptions {
  /** The passphrase of an encrypted file. */
  passphrase?: string;
  /** Is told now and then how many rows are done, of how many. What it returns is waited for. */
  onRows?: BackupOptions['onRows'];
}

/** Options of `restoreStore`. */
export interface RestoreOptions extends CheckBackupOptions {
  /** Path of a new SQLite file, or the address of a PostgreSQL database without a store or with an empty one. */
  store: string;
}

/** What is in a backup. */
export interface BackupSummary {
  /** The store's schema: the name of its last migration. */
  schema: string;
  /** When it was made, in ISO 8601. */
  created: string;
  /** Number of rows by table. */
  tables: Record<string, number>;
  /** Number of rows. */
  rows: number;
  /** SHA-256 of its content, before compression and encryption. */
  sha256: string;
  /** Whether it is encrypted. */
  encrypted: boolean;
}

/** What was restored. */
export interface RestoreSummary extends BackupSummary {
  /** Whether the audit log of the new store is whole. */
  audit: AuditCheck;
}

/**
 * Writes a backup of a store to a file. The store may be in use: one transaction reads all of it, so the backup is what
 * the store was at one moment, and writers do not wait. Rows are streamed. The store stays as it is, even if it was
 * written by an earlier version of heed.
 *
 * @throws HeedError if the store cannot be opened or has no tables, or if the file cannot be written.
 */
export async function backupStore({ store, out, passphrase, onRows }: BackupOptions): Promise<BackupSummary> {
  checkPassphrase(passphrase);
  if (kindOf(store) === 'sqlite') {
    if (!existsSync(store)) {
      throw new HeedError(`There is no store "${store}".`, { hint: 'Pass its path, or a postgres:// address.' });
    }
    if (existsSync(out) && realpathSync(out) === realpathSync(store)) {
      throw new HeedError(`The backup would replace the store "${store}" itself.`, {
        hint: 'Pass another file to --out.',
      });
    }
  }
  const database = await connectStore(store, async (query) => void (await sql`select 1`.execute(query)));
  try {
    return await reading(database, async (query) => {
      const { header, present } = await headerOf(database, query);
      const rows = sumOf(header.tables);
      const sha256 = await writeBackupFile(
        out,
        header,
        counted(rowsOf(query, database.kind, present), rows, onRows),
        passphrase,
      );
      return summaryOf(header, sha256, passphrase !== undefined);
    });
  } finally {
    await database.close();
  }
}

/** Runs `work` in a transaction that sees the store as it is at its beginning, and keeps nobody from writing. */
const reading = <T>({ query: root, kind }: Database, work: (query: Kysely<Tables>) => Promise<T>): Promise<T> =>
  root.connection().execute(async (query) => {
    // Kysely's own transactions on SQLite are opened to write, and others would wait for them
    const begin = kind === 'postgres' ? 'begin isolation level repeatable read, read only' : 'begin deferred';
    await sql.raw(begin).execute(query);
    try {
      return await work(query);
    } finally {
      // where the connection broke, the error of the work is the one to tell
      await sql
        .raw('rollback')
        .execute(query)
        .catch(() => {});
    }
  });

async function headerOf(database: Database, query: Kysely<Tables>) {
  const there = await tablesIn(query);
  const schema = await schemaOf(query, there);
  if (schema === undefined) {
    throw new HeedError(`"${database.name}" contains no store of heed.`, { hint: 'Check the path or the address.' });
  }
  if (!schemaVersions().includes(schema)) {
    throw new HeedError('Another version of heed has written this store.', {
      hint: 'Update heed, and make the backup with that version.',
    });
  }
  const present = NAMES.filter((name) => there.has(name));
  const tables: Record<string, number> = {};
  for (const name of present) {
    const { n } = await query
      .selectFrom(name as 'items')
      .select((select) => select.fn.countAll().as('n'))
      .executeTakeFirstOrThrow();
    tables[name] = Number(n);
  }
  const created = new Date().toISOString();
  const header: BackupHeader = { format: 'heed-backup', version: 1, schema, created, tables };
  return { header, present };
}

async function* rowsOf(
  query: Kysely<Tables>,
  kind: Database['kind'],
  tables: readonly TableName[],
): AsyncGenerator<BackupRow> {
  for (const table of tables) {
    let all = query.selectFrom(table as 'items').selectAll();
    for (const column of TABLES[table]) all = all.orderBy(column as 'seq');
    const rows = kind === 'postgres' ? fetched(query, all.compile().sql) : all.stream();
    for await (const row of rows) yield { table, row: row as BackupRow['row'] };
  }
}

/** The rows of a statement by a cursor: PostgreSQL's driver would hold all of them in memory. */
async function* fetched(query: Kysely<Tables>, statement: string): AsyncGenerator<object> {
  await sql.raw(`declare heed_backup no scroll cursor for ${statement}`).execute(query);
  for (;;) {
    const { rows } = await sql.raw<object>(`fetch ${FETCH} from heed_backup`).execute(query);
    yield* rows;
    if (rows.length < FETCH) break;
  }
  await sql.raw('close heed_backup').execute(query);
}

/**
 * Reads a whole backup and returns what is in it: if that succeeds, the file can be restored.
 *
 * @throws HeedError if the file is damaged, was cut, is of another version, or is encrypted with another passphrase.
 */
export async function checkBackup(path: string, options: CheckBackupOptions = {}): Promise<BackupSummary> {
  const { passphrase, onRows } = options;
  checkPassphrase(passphrase);
  return check(await openBackupFile(path, passphrase), onRows);
}

async function check(file: BackupFile, onRows?: BackupOptions['onRows']): Promise<BackupSummary> {
  let header: BackupHeader | undefined;
  let sha256 = '';
  const rows = (async function* () {
    for await (const line of file.lines()) {
      if (line.kind === 'row') yield line;
      else if (line.kind === 'end') sha256 = line.sha256;
      else header = checkHeader(file.path, line.header);
    }
  })();
  const total = () => sumOf(header?.tables ?? {});
  for await (const _ of counted(rows, total, onRows));
  return summaryOf(header!, sha256, file.encrypted);
}

function checkHeader(path: string, header: BackupHeader): BackupHeader {
  const { schema, tables } = header;
  const unknown = Object.keys(tables).find((table) => !Object.hasOwn(TABLES, table));
  if (unknown === undefined && schemaVersions().includes(schema)) return header;
  throw new HeedError(`"${path}" was made by another version of heed: its schema is "${schema}".`, {
    hint: 'Update heed.',
  });
}

/**
 * Restores a backup into a new or empty store, and brings it to this version's schema. The file is read as a whole
 * before the store is touched; one transaction then restores all rows, or none. An audit log that does not verify is
 * restored as it is, and the summary says so.
 *
 * @throws HeedError if the backup is damaged, of another version or encrypted with another passphrase, or if the store
 * is not empty.
 */
export async function restoreStore(path: string, options: RestoreOptions): Promise<RestoreSummary> {
  const { store, passphrase, onRows } = options;
  checkPassphrase(passphrase);
  const file = await openBackupFile(path, passphrase);
  const summary = await check(file);
  const isNew = kindOf(store) === 'sqlite' && store !== ':memory:' && !existsSync(store);
  let database: Database | undefined;
  try {
    database = await connectStore(store, async (query, kind) => {
      await checkEmpty(query, store, kind);
      await checkSchema(query, path, summary.schema);
      await migrate(query, kind, summary.schema);
    });
    const { kind } = database;
    await database.query.transaction().execute(async (query) => {
      // a studio that starts meanwhile waits, or is seen
      if (kind === 'postgres') await sql`lock table projects, people in exclusive mode`.execute(query);
      await checkEmpty(query, store, kind);
      await load(query, file, summary, onRows);
      if (kind === 'postgres') await continueNumbers(query);
    });
    await migrate(database.query, kind);
    const audit = await verifyAudit(database);
    await database.close();
    return { ...summary, audit };
  } catch (error) {
    await database?.close().catch(() => {});
    if (isNew) for (const end of ['', '-wal', '-shm']) rmSync(`${store}${end}`, { force: true });
    throw error;
  }
}

async function checkEmpty(query: DatabaseQuery, store: string, kind: Database['kind']): Promise<void> {
  const there = await tablesIn(query);
  for (const table of [...NAMES, ...LEFT_OUT]) {
    if (!there.has(table)) continue;
    const row = await sql`select 1 from ${sql.table(table)} limit 1`.execute(query);
    if (row.rows.length === 0) continue;
    const name = kind === 'postgres' ? 'of this address' : `"${store}"`;
    throw new HeedError(`The store ${name} is not empty: it has ${table}. A backup is restored into an empty store.`, {
      hint: 'Pass a new file or an empty database to --store, and then start the studio with it.',
    });
  }
}

/** Rows of an earlier schema fit only tables of that schema: they are migrated afterwards. */
async function checkSchema(query: DatabaseQuery, path: string, wanted: string): Promise<void> {
  const schema = await schemaOf(query, await tablesIn(query));
  if (schema === undefined || schema <= wanted) return;
  throw new HeedError(`"${path}" has the schema "${wanted}", and the empty store has "${schema}" already.`, {
    hint: 'Restore it into a file or database that does not have tables of heed yet.',
  });
}

async function load(
  query: DatabaseQuery,
  file: BackupFile,
  summary: BackupSummary,
  onRows: BackupOptions['onRows'],
): Promise<void> {
  const { sha256, rows: total } = summary;
  let batch: BackupRow['row'][] = [];
  let table = '';
  let characters = 0;
  let last = 1;
  const insert = async () => {
    if (batch.length === 0) return;
    try {
      await query
        .insertInto(table as 'items')
        .values(batch as never)
        .execute();
    } catch (cause) {
      throw new HeedError(
        `The store refused rows of "${table}", lines ${last - batch.length + 1} to ${last} of "${file.path}": ${messageOf(cause)}`,
        { hint: 'Nothing was restored.', cause },
      );
    }
    batch = [];
    characters = 0;
  };
  const rows = (async function* () {
    for await (const line of file.lines()) {
      if (line.kind === 'row') yield line;
      else if (line.kind === 'end' && line.sha256 !== sha256) {
        throw new HeedError(`"${file.path}" changed while it was read.`, { hint: 'Nothing was restored. Try again.' });
      }
    }
  })();
  for await (const { line, table: name, row } of counted(rows, total, onRows)) {
    if (name !== table || batch.length >= INSERT.rows || characters >= INSERT.characters) await insert();
    table = name;
    last = line;
    batch.push(row);
    for (const value of Object.values(row)) characters += typeof value === 'string' ? value.length : 8;
  }
  await insert();
}

/** PostgreSQL numbers new rows by a sequence of its own, which rows that have their number do not move. */
async function continueNumbers(query: DatabaseQuery): Promise<void> {
  for (const table of NUMBERED) {
    await sql`select setval(pg_get_serial_sequence(${table}, 'seq'), max(seq)) from ${sql.table(table)}
      having max(seq) is not null`.execute(query);
  }
}

async function tablesIn(query: DatabaseQuery): Promise<Set<string>> {
  const tables = await query.introspection.getTables({ withInternalKyselyTables: true });
  return new Set(tables.map(({ name }) => name));
}

/** The name of the last migration; undefined if there was none. */
async function schemaOf(query: DatabaseQuery, tables: ReadonlySet<string>): Promise<string | undefined> {
  if (!tables.has('kysely_migration')) return undefined;
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name desc limit 1`.execute(
    query,
  );
  return rows[0]?.name;
}

/** Passes rows on, and reports how many. */
async function* counted<T>(
  rows: AsyncIterable<T>,
  total: number | (() => number),
  onRows: BackupOptions['onRows'],
): AsyncGenerator<T> {
  let done = 0;
  for await (const row of rows) {
    yield row;
    if (++done % REPORT === 0) await onRows?.(done, typeof total === 'number' ? total : total());
  }
}

function checkPassphrase(passphrase: string | undefined): void {
  if (passphrase === '') throw new HeedError('The key of the backup is empty.', { hint: 'Use a long passphrase.' });
}

const sumOf = (tables: Record<string, number>): number => Object.values(tables).reduce((sum, n) => sum + n, 0);

const summaryOf = ({ schema, created, tables }: BackupHeader, sha256: string, encrypted: boolean): BackupSummary => ({
  schema,
  created,
  tables,
  rows: sumOf(tables),
  sha256,
  encrypted,
});
