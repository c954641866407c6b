/**
 * The store's database: SQLite in a file, or PostgreSQL by a connection string. One schema and one set of queries serve
 * both.
 */
import { Kysely, PostgresAdapter, type Transaction } from 'kysely';
import { HeedError, messageOf } from '../../error.ts';
import { observeStatements, type StatementCounts } from '../../monitoring/statements.ts';
import { migrate } from './migrations.ts';
import { connectionWarning, postgresDialect } from './postgres.ts';
import type { Tables } from './schema.ts';
import { sqliteDialect } from './sqlite.ts';

/** Runs queries: the database itself, or a transaction in it. */
export type DatabaseQuery = Kysely<Tables> | Transaction<Tables>;

/** An open store. */
export interface Database {
  /** Runs queries on the tables. */
  readonly query: Kysely<Tables>;
  /** Which database it is. */
  readonly kind: 'sqlite' | 'postgres';
  /** What it was opened with. It may contain a password: do not show it. */
  readonly address: string;
  /** The address without the password, to be shown. */
  readonly name: string;
  /** What who runs a server should know of the connection, such as that it is not encrypted. */
  readonly warning: string | undefined;
  /** Statements since it was opened. */
  readonly statements: StatementCounts;
  /** Closes the connection; what was recorded is on disk. */
  close(): Promise<void>;
}

/**
 * Opens the store at a path (`:memory:` for none), or at a `postgres://…` address, and creates or updates its tables.
 *
 * @throws HeedError if it cannot be opened, or another version of heed has written it.
 */
export const openDatabase = (address: string): Promise<Database> => connectStore(address, migrate);

/**
 * Connects to a store as it is; `prepare` runs first, before the store counts as open.
 *
 * @throws HeedError if it cannot be opened. A HeedError of `prepare` passes through.
 */
export async function connectStore(
  address: string,
  prepare: (query: Kysely<Tables>, kind: Database['kind']) => Promise<void>,
): Promise<Database> {
  const kind = kindOf(address);
  const name = kind === 'postgres' ? withoutPassword(address) : address;
  const { counts, log } = observeStatements(kind === 'postgres' ? 'postgresql' : 'sqlite');
  try {
    const query = new Kysely<Tables>({
      log,
      dialect: kind === 'postgres' ? await postgresDialect(address) : await sqliteDialect(address),
    });
    try {
      await prepare(query, kind);
    } catch (error) {
      await query.destroy();
      throw error;
    }
    const warning = kind === 'postgres' ? await connectionWarning(address) : undefined;
    return { query, kind, address, name, warning, statements: counts, close: () => query.destroy() };
  } catch (cause) {
    if (cause instanceof HeedError) throw cause;
    throw new HeedError(`The store "${name}" cannot be opened: ${messageOf(cause)}`, {
      hint: hintFor(cause, kind),
      cause,
    });
  }
}

/** Which database an address is of. */
export const kindOf = (address: string): Database['kind'] =>
  /^postgres(ql)?:\/\//.test(address) ? 'postgres' : 'sqlite';

function hintFor(cause: unknown, kind: Database['kind']): string {
  const fault = storeFault(cause);
  if (fault === 'full') return 'Free space on its disk.';
  if (fault === 'damaged') return 'It is damaged, or not a store of heed: restore a backup, or pass another path.';
  if (fault === 'busy') return 'Another process is writing to it, such as a long import: try again when it is done.';
  if (kind === 'sqlite') return 'Pass a path in a folder that you can write to, or a postgres:// address.';
  return 'Check that the server runs and the database exists: postgres://USER:PASSWORD@HOST:PORT/DATABASE';
}

/** SQLite's code of a file that ends too early: it was cut, or copied without its log. */
const SHORT_READ = 522;

/** What can be wrong with a store itself. */
export type StoreFault = 'full' | 'read-only' | 'damaged' | 'busy' | 'unreachable';

/** Codes of PostgreSQL and of the network for a server that is gone, starting, stopping, full or just migrated. */
const GONE =
  /^(0A000|08...|57P0[1-5]|53300|ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|E(HOST|NET)UNREACH|ENOTFOUND|EAI_AGAIN)$/;
/** What pg says of a lost connection, without a code. */
const LOST = /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client .* not queryable)/;

/**
 * What is wrong with the store itself, if an error says so: its disk is full or read-only, its file is damaged, another
 * process keeps it locked, or PostgreSQL cannot be reached.
 */
export function storeFault(error: unknown): StoreFault | undefined {
  const { code, errcode } = error as { code?: unknown; errcode?: number };
  // SQLite's extended codes have the primary one in their lowest byte
  const primary = (errcode ?? 0) & 0xff;
  if (['ENOSPC', 'EDQUOT', '53100'].includes(String(code)) || primary === 13) return 'full';
  if (['EROFS', '25006'].includes(String(code)) || primary === 8) return 'read-only';
  if (['XX001', 'XX002'].includes(String(code)) || primary === 11 || primary === 26) return 'damaged';
  if (errcode === SHORT_READ) return 'damaged';
  if (primary === 5) return 'busy';
  if (GONE.test(String(code))) return 'unreachable';
  const text = messageOf(error);
  if (/database or disk is full/.test(text)) return 'full';
  if (LOST.test(text)) return 'unreachable';
  return /is malformed|is not a database/.test(text) ? 'damaged' : undefined;
}

/** What each transaction of `atOnce` still has to do before it commits. */
const endings = new WeakMap<DatabaseQuery, ((query: DatabaseQuery) => Promise<unknown>)[]>();

/** Runs `work` in a transaction, or as a part of the one that `query` is already. */
export const atOnce = <T>(query: DatabaseQuery, work: (query: DatabaseQuery) => Promise<T>): Promise<T> =>
  query.isTransaction
    ? work(query)
    : query.transaction().execute(async (query) => {
        const ending: ((query: DatabaseQuery) => Promise<unknown>)[] = [];
        endings.set(query, ending);
        const result = await work(query);
        for (const end of ending) await end(query);
        return result;
      });

/**
 * Runs `work` right before the transaction that `query` is commits; a lock that it takes is then the last one, so that
 * it can be part of no deadlock. Without a transaction of `atOnce`, runs it now, in one of its own if there is none.
 */
export async function beforeCommit(
  query: DatabaseQuery,
  work: (query: DatabaseQuery) => Promise<unknown>,
): Promise<void> {
  const ending = endings.get(query);
  if (ending) ending.push(work);
  else await atOnce(query, work);
}

/** Which database a query runs on. */
export const kindOfQuery = (query: DatabaseQuery): Database['kind'] =>
  query.getExecutor().adapter instanceof PostgresAdapter ? 'postgres' : 'sqlite';

function withoutPassword(address: string): string {
  try {
    const url = new URL(address);
    if (url.password) url.password = '…';
    return decodeURI(url.href);
  } catch {
    return 'postgres://…';
  }
}
