/** The server's own database: one SQLite file, `serve.db`. Each part of the server adds its tables here. */
import { Kysely, type Migration, Migrator } from 'kysely';
import { HeedError, messageOf } from '../error.ts';
import { isOfAnotherVersion } from '../feedback/store/migrations.ts';
import { sqliteDialect } from '../feedback/store/sqlite.ts';
import { observeStatements } from '../monitoring/statements.ts';
import { type CompletionTables, createCompletions } from './completions/table.ts';
import { createFeedbackTable, type FeedbackTables } from './feedback/tables.ts';
import { createFiles, type FileTables } from './files/table.ts';
import { createJobs, type JobTables } from './fine-tuning/table.ts';
import { createKeys, type KeyTables } from './keys-table.ts';
import { createVersions, type VersionTables } from './learn/tables.ts';
import { createModels, type ModelTables } from './shelf-table.ts';

/** All tables. A part adds its own by extending this. */
export interface ServeDatabase
  extends ModelTables,
    CompletionTables,
    KeyTables,
    FileTables,
    JobTables,
    FeedbackTables,
    VersionTables {}

/** Migrations by name, applied once each, in order. A released one is never edited: a change is a new entry. */
const migrations: Readonly<Record<string, Migration>> = {
  '001-initial': {
    async up(query) {
      const parts = [createModels, createCompletions, createKeys, createFiles, createJobs, createFeedbackTable];
      for (const create of [...parts, createVersions]) await create(query);
    },
  },
};

/**
 * Opens the database at a path (`:memory:` for none), and creates or updates its tables.
 *
 * @throws HeedError if it cannot be opened, or another version of heed has written it.
 */
export async function openServeDatabase(path: string): Promise<Kysely<ServeDatabase>> {
  const failed = (cause: unknown, hint: string) =>
    new HeedError(`The database "${path}" cannot be opened: ${messageOf(cause)}`, { hint, cause });
  let database: Kysely<ServeDatabase>;
  try {
    database = new Kysely<ServeDatabase>({ dialect: await sqliteDialect(path), log: observeStatements('sqlite').log });
  } catch (cause) {
    throw failed(cause, 'Pass a folder that you can write to.');
  }
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (!error) return database;
  await database.destroy();
  if (isOfAnotherVersion(error)) {
    throw new HeedError(`Another version of heed has written the database "${path}".`, {
      hint: 'Update heed, or pass another folder.',
      cause: error,
    });
  }
  throw failed(error, 'Is it a database of heed serve? Pass another folder.');
}
