/**
 * The store's database: SQLite in a file (Node's own driver where it has one, else the same interface from a package), or
 * PostgreSQL by a connection string. One schema and one set of queries serve both.
 */
import { mkdirSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type Dialect,
  Kysely,
  PostgresDialect,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type SqliteStatement,
  type Transaction,
} from 'kysely';
import { HeedError, messageOf } from '../../error.ts';
import { migrate } from './migrations.ts';
import type { Tables } from './schema.ts';

export type Query = Kysely<Tables> | Transaction<Tables>;

export interface Database {
  readonly query: Kysely<Tables>;
  readonly kind: 'sqlite' | 'postgres';
  /** By which it was opened, and others open it: not for a person, as it may hold a password. */
  readonly address: string;
  /** For a person; without the password. */
  readonly name: string;
  close(): Promise<void>;
}

/**
 * Opens the database at a path, or at a `postgres://…` address, with its tables made or brought up to date.
 *
 * @throws HeedError where it cannot be reached, or was made by a newer version of heed.
 */
export async function openDatabase(at: string): Promise<Database> {
  const kind = /^postgres(ql)?:\/\//.test(at) ? 'postgres' : 'sqlite';
  const name = kind === 'postgres' ? withoutPassword(at) : at;
  try {
    const query = new Kysely<Tables>({ dialect: kind === 'postgres' ? await postgres(at) : await sqlite(at) });
    try {
      await migrate(query, kind);
    } catch (error) {
      await query.destroy();
      throw error;
    }
    return { query, kind, address: at, name, close: () => query.destroy() };
  } catch (cause) {
    if (cause instanceof HeedError) throw cause;
    throw new HeedError(`The database "${name}" cannot be opened: ${messageOf(cause)}`, {
      hint:
        kind === 'postgres'
          ? 'Does the server run there, and does the database exist? The address is postgres://USER:PASSWORD@HOST:PORT/DATABASE.'
          : 'Give a path in a folder that can be written to, or a postgres:// address.',
      cause,
    });
  }
}

/** All or nothing; inside what is one transaction already, a part of it. */
export const atOnce = <T>(query: Query, work: (query: Query) => Promise<T>): Promise<T> =>
  query.isTransaction ? work(query) : query.transaction().execute(work);

function withoutPassword(address: string): string {
  try {
    const url = new URL(address);
    if (url.password) url.password = '…';
    return decodeURI(url.href);
  } catch {
    return 'postgres://…';
  }
}

async function postgres(connectionString: string): Promise<PostgresDialect> {
  const { default: pg } = await import('pg');
  // whole numbers of 8 bytes are counts here, and far from 2⁵³
  const types = new pg.TypeOverrides();
  types.setTypeParser(pg.types.builtins.INT8, Number);
  const pool = new pg.Pool({ connectionString, max: 10, types });
  // a server that is started anew ends connections nobody is using: others take their place, and a query under way fails by itself
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return new PostgresDialect({ pool });
}

/** What both drivers offer. */
interface Driver {
  exec(sql: string): void;
  prepare(sql: string): {
    all(...values: unknown[]): unknown[];
    run(...values: unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint };
    iterate(...values: unknown[]): IterableIterator<unknown>;
  };
  close(): void;
}

async function sqlite(path: string): Promise<Dialect> {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
  const driver = await openSqlite(path);
  // the log is on the disk before anybody is told of what is in it; but SQLite itself would keep all others waiting for that
  for (const pragma of ['journal_mode = WAL', 'synchronous = NORMAL', 'busy_timeout = 10000', 'foreign_keys = ON']) {
    driver.exec(`pragma ${pragma}`);
  }
  // there is a log from the first query on
  driver.exec('select count(*) from sqlite_schema');
  const log = path === ':memory:' ? undefined : await open(`${path}-wal`, 'r+');
  return {
    createDriver: () => new GroupCommit(adapted(driver), log),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createAdapter: () => new SqliteAdapter(),
    createIntrospector: (query) => new SqliteIntrospector(query),
  };
}

/** Where SQLite's commits only write: what was written is on the disk when its transaction is over, by one sync for all that wait for it. */
class GroupCommit extends SqliteDriver {
  private readonly database: Noting;
  private readonly log: FileHandle | undefined;
  private readonly synced: () => Promise<void>;

  constructor(database: Noting, log: FileHandle | undefined) {
    super({ database });
    this.database = database;
    this.log = log;
    this.synced = log ? together(() => log.datasync()) : async () => {};
  }

  override async releaseConnection(): Promise<void> {
    const written = this.database.written();
    // the next may go on meanwhile
    await super.releaseConnection();
    if (written) await this.synced();
  }

  override async destroy(): Promise<void> {
    await super.destroy();
    await this.log?.close();
  }
}

/** Work that serves all who asked for it before it began: who asks while it is done waits for the next time, which they share. */
function together(work: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  const begin = () => {
    next = undefined;
    return work();
  };
  return () => {
    if (!next) {
      next = current.then(begin, begin);
      current = next;
    }
    return next;
  };
}

type Sqlite = { DatabaseSync: new (path: string) => Driver };

async function openSqlite(path: string): Promise<Driver> {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const builtIn = major > 22 || (major === 22 && minor >= 13);
  const { DatabaseSync } = builtIn ? builtInSqlite() : ((await import('@photostructure/sqlite')) as unknown as Sqlite);
  return new DatabaseSync(path);
}

/** Node calls it experimental each time, which nobody who labels can do anything about. */
function builtInSqlite(): Sqlite {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule('node:sqlite' as 'fs') as unknown as Sqlite;
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** A database that knows whether anything was written since this was last asked. */
type Noting = SqliteDatabase & { written(): boolean };

/** The interface that Kysely knows, with statements kept: preparing one takes longer than running it. */
function adapted(driver: Driver): Noting {
  const statements = new Map<string, SqliteStatement>();
  let written = false;
  return {
    close: () => driver.close(),
    written() {
      const was = written;
      written = false;
      return was;
    },
    prepare(text) {
      // two processes that have both begun to read could not both go on to write
      const sql = text === 'begin' ? 'begin immediate' : text;
      written ||= !/^\s*(select|pragma|explain|begin|commit|rollback)\b/i.test(sql);
      const known = statements.get(sql);
      if (known) return known;
      const prepared = driver.prepare(sql);
      const statement: SqliteStatement = {
        reader: /^\s*(select|with|pragma|explain)\b|\breturning\b/i.test(sql),
        all: (values) => prepared.all(...values),
        run: (values) => prepared.run(...values),
        iterate: (values) => prepared.iterate(...values),
      };
      // of tables that are being made there is no second use
      if (/^\s*(select|with|insert|update|delete)\b/i.test(sql)) statements.set(sql, statement);
      return statement;
    },
  };
}
