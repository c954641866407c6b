/** Addresses of new, empty stores: SQLite's, and PostgreSQL's where a server is to be had. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach } from 'vitest';
import { sharedPostgres } from './postgres.ts';

/** For `describe.each`, whose tests call `skipWhereMissing` first; gone after a file's tests. */
export async function ownStores() {
  const postgres = await sharedPostgres();
  const folder = mkdtempSync(join(tmpdir(), 'heed-stores-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let files = 0;
  const kinds = [
    ['SQLite', async () => join(folder, `${files++}.db`)],
    ['PostgreSQL', async () => postgres!.database()],
  ] as const;
  const skipWhereMissing = (kind: (typeof kinds)[number][0]) =>
    beforeEach((context) => {
      if (kind === 'PostgreSQL' && !postgres) context.skip('PostgreSQL');
    });
  return { folder, postgres, kinds, skipWhereMissing };
}
