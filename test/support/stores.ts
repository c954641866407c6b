/** Addresses of new, empty stores: SQLite's, and PostgreSQL's where a server is to be had. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach } from 'vitest';
import { sharedPostgres } from './postgres.ts';

/** What takes a store back to the schema before that of the audit log. */
export const withoutChain = [
  'drop index events_previous',
  'drop index events_hash',
  ...['salt', 'digest', 'previous', 'hash'].map((column) => `alter table events drop column ${column}`),
  'alter table items drop column author',
  'drop table retention',
];

/** What takes a store back to the schema before tokens had dates. */
export const withoutTokenDates = ['"tokenExpires"', '"tokenUnusedUntil"'].map(
  (column) => `alter table people drop column ${column}`,
);

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
