/** SQLite by Node's own driver if it has one, else by a package with the same interface. */

import { createRequire } from './node.ts';
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

/** Opens the SQLite file at a path, or `:memory:`. The package is required, not imported: bundles for pages leave it out. */
export async function openSqlite(path: string, settings: SqliteSettings = {}): Promise<SqliteConnection> {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const builtIn = major > 22 || (major === 22 && minor >= 13);
  const name = '@photostructure/sqlite';
  const { DatabaseSync } = builtIn
    ? builtInSqlite()
    : await optionalPackage(name, 'SQLite before Node 22.13', () => createRequire(import.meta.url)(name) as Sqlite);
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
