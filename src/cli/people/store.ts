/** The store and the project of a command, as all of `heed feedback` name them. */
import { Option } from 'commander';
import type { Database } from '../../feedback/store/database.ts';
import { merges } from '../../feedback/transfer/merges.ts';

/** Flags of all commands about a project. */
export interface Common {
  store: string;
  project: string;
  json?: boolean;
}

/** The default store. */
export const DEFAULT_STORE = 'feedback.db';

export const storeOption = () =>
  new Option('--store <path>', 'file of the store, or a postgres:// address').default(DEFAULT_STORE);

export const mergeOption = () =>
  new Option('--merge <how>', 'how several judgments of an item are merged').choices([...merges]).default('majority');

export const projectOption = () => new Option('--project <name>', 'name of the project').makeOptionMandatory();

/** Opens a store, and closes it after `use`. */
export async function withStore<T>(path: string, use: (database: Database) => Promise<T>): Promise<T> {
  const { openDatabase } = await import('../../feedback/store/database.ts'); // much to load: others import this file for its flags
  const database = await openDatabase(path);
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}
