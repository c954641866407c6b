/** SQLite by Node's own driver if it has one, else by a package with the same interface. */

import { optionalPackage } from './optional-package.ts';

/** An open database: what both drivers implement. */
export interface SqliteConnection {
  exec(sql: string): void;
  prepare(sql: string): {
    all(...values: unknown[]): unknown[];
    run(...values: unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint };
    iterate(...values: unknown[]): IterableIterator<unknown>;
  };
  close(): void;
}

/** How a database is opened. */
interface SqliteSettings {
  /** Refuses every write (default: false). */
  readOnly?: boolean;
}

type Sqlite = { DatabaseSync: new (path: string, settings?: SqliteSettings) => SqliteConnection };

/** Opens the SQLite file at a path, or `:memory:`. */
export async function openSqlite(path: string, settings: SqliteSettings = {}): Promise<SqliteConnection> {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const builtIn = major > 22 || (major === 22 && minor >= 13);
  const { DatabaseSync } = builtIn
    ? builtInSqlite()
    : await optionalPackage<Sqlite>('@photostructure/sqlite', 'SQLite before Node 22.13');
  return new DatabaseSync(path, settings);
}

/** Loads Node's SQLite without its warning that it is experimental. */
function builtInSqlite(): Sqlite {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule('node:sqlite' as 'fs') as unknown as Sqlite;
  } finally {
    process.emitWarning = emitWarning;
  }
}
