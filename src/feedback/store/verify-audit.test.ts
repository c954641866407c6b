/** The audit log shows in which line, and how, somebody changed it. */
import { type Kysely, sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { ownStores } from '../../../test/support/stores.ts';
import { addPerson, auditTrail, createProject, type Database, openDatabase, verifyAudit } from '../index.ts';
import { appendLine, eraseLines, note } from './audit.ts';
import { type AuditLine, chained, digestOf, hashOfLine } from './audit-chain.ts';
import { atOnce, type DatabaseQuery } from './database.ts';

const { kinds, skipWhereMissing } = await ownStores();

const line = (seq: number) => ({
  project: null,
  person: null,
  kind: 'k',
  detailJson: `{"n":${seq}}`,
  created: seq,
  seq,
});

it('a line’s hash is the same for all times', () => {
  const first = { ...line(1), salt: 's', previous: '0'.repeat(64) };
  const digest = digestOf(first);
  expect(digest).toBe('959b3020b6c4b1ffc793f84f215971035e687399bf8282c9317d4ff79b037a06');
  expect(hashOfLine({ ...first, digest })).toBe('046ed49cca54cfe01d94788f3293afce01b86398bd9cc0d3e288dc8762d376a1');
  expect(chained(line(1), undefined).digest).not.toBe(chained(line(1), undefined).digest); // nobody can guess it
});

describe.each(kinds)('%s', (kind, address) => {
  skipWhereMissing(kind);

  async function log(): Promise<Database> {
    const database = await openDatabase(await address());
    for (let n = 1; n <= 8; n++) await note(database.query, { kind: 'thing done', detail: { n } });
    return database;
  }
  const rowsOf = ({ query }: Database) => query.selectFrom('events').selectAll().orderBy('seq').execute();
  /** As somebody does who can write the database. */
  async function tamper({ query }: Database, change: (query: Kysely<{ events: AuditLine }>) => Promise<unknown>) {
    for (const index of ['events_previous', 'events_hash']) await sql.raw(`drop index ${index}`).execute(query);
    await change(query as never);
  }

  it('is a chain that verifies, from line to line', async () => {
    const database = await log();
    const { head, ...check } = await verifyAudit(database);
    expect(check).toEqual({ valid: true, lines: 8, erased: 0 });
    const [last] = await auditTrail(database, { limit: 1 });
    expect(head).toEqual({ seq: 8, hash: last.hash, time: last.time });
    await appendLine(database.query, { kind: 'one more' });
    expect(await verifyAudit(database, { head: last.hash })).toMatchObject({ valid: true, lines: 9, since: 8 });
    await database.close();
  });

  it('an empty log has no head', async () => {
    const database = await openDatabase(await address());
    expect(await verifyAudit(database)).toEqual({ valid: true, lines: 0, erased: 0, head: null });
    await database.close();
  });

  const forged = (after: AuditLine, seq: number) => chained({ ...line(seq), kind: 'forged' }, after);
  const cases: [
    string,
    (query: Kysely<{ events: AuditLine }>, rows: AuditLine[]) => Promise<unknown>,
    { kind: string; seq: number | null },
    RegExp,
  ][] = [
    [
      'a time',
      (q) => q.updateTable('events').set({ created: 5 }).where('seq', '=', 4).execute(),
      { kind: 'changed', seq: 4 },
      /Line 4 was changed/,
    ],
    [
      'a kind',
      (q) => q.updateTable('events').set({ kind: 'other' }).where('seq', '=', 8).execute(),
      { kind: 'changed', seq: 8 },
      /Line 8/,
    ],
    [
      'details',
      (q) => q.updateTable('events').set({ detailJson: '{"n":9}' }).where('seq', '=', 3).execute(),
      { kind: 'changed', seq: 3 },
      /details/,
    ],
    [
      'who did it',
      (q) => q.updateTable('events').set({ person: 'x' }).where('seq', '=', 3).execute(),
      { kind: 'changed', seq: 3 },
      /who did it/,
    ],
    [
      'a line that is hashed again',
      (q, rows) =>
        q
          .updateTable('events')
          .set(chained({ ...line(3), detailJson: '{}' }, rows[1]))
          .where('seq', '=', 3)
          .execute(),
      { kind: 'changed', seq: 3 },
      /line 4 follows another one/,
    ],
    [
      'a line taken out',
      (q) => q.deleteFrom('events').where('seq', '=', 3).execute(),
      { kind: 'removed', seq: 4 },
      /after line 2 were removed/,
    ],
    [
      'the first lines',
      (q) => q.deleteFrom('events').where('seq', '<', 3).execute(),
      { kind: 'removed', seq: 3 },
      /first lines/,
    ],
    [
      'a line taken out, and the rest numbered again',
      async (q) => {
        await q.deleteFrom('events').where('seq', '=', 3).execute();
        for (let seq = 4; seq <= 8; seq++)
          await q
            .updateTable('events')
            .set({ seq: seq - 1 })
            .where('seq', '=', seq)
            .execute();
      },
      { kind: 'removed', seq: 3 },
      /after line 2 were removed/,
    ],
    [
      'a line put in',
      async (q, rows) => {
        for (let seq = 8; seq >= 4; seq--)
          await q
            .updateTable('events')
            .set({ seq: seq + 1 })
            .where('seq', '=', seq)
            .execute();
        await q.insertInto('events').values(forged(rows[2], 4)).execute();
      },
      { kind: 'inserted', seq: 4 },
      /Line 4 was inserted/,
    ],
    [
      'a line put in without a hash of its own',
      async (q, rows) => {
        for (let seq = 8; seq >= 4; seq--)
          await q
            .updateTable('events')
            .set({ seq: seq + 1 })
            .where('seq', '=', seq)
            .execute();
        await q
          .insertInto('events')
          .values({ ...forged(rows[2], 4), hash: 'f'.repeat(64) })
          .execute();
      },
      { kind: 'inserted', seq: 4 },
      /Line 4 was inserted/,
    ],
    [
      'two lines in the other order',
      async (q) => {
        for (const [from, to] of [
          [4, 99],
          [5, 4],
          [99, 5],
        ])
          await q.updateTable('events').set({ seq: to }).where('seq', '=', from).execute();
      },
      { kind: 'moved', seq: 4 },
      /line 4 follows line 5/,
    ],
    [
      'a line moved to the end',
      (q) => q.updateTable('events').set({ seq: 9 }).where('seq', '=', 5).execute(),
      { kind: 'moved', seq: 6 },
      /line 6 follows line 9/,
    ],
    [
      'a line erased in secret',
      (q) => q.updateTable('events').set({ salt: null, detailJson: '{}' }).where('seq', '=', 5).execute(),
      { kind: 'erased', seq: 5 },
      /no later line says so/,
    ],
  ];

  it('finds what was done to a line', async () => {
    const database = await log();
    const rows = await rowsOf(database);
    await tamper(database, async () => {});
    for (const [what, change, fault, message] of cases) {
      await change(database.query as never, rows);
      const check = await verifyAudit(database);
      expect(check, what).toMatchObject({ valid: false, fault });
      expect(check.fault?.message, what).toMatch(message);
      await database.query.deleteFrom('events').execute();
      await database.query.insertInto('events').values(rows).execute();
      expect(await verifyAudit(database), what).toMatchObject({ valid: true, lines: 8 });
    }
    await database.close();
  });

  it('an end that was cut off, or a log written anew, by its earlier head', async () => {
    const database = await log();
    const { head } = await verifyAudit(database);
    await database.query.deleteFrom('events').where('seq', '>', 6).execute();
    expect(await verifyAudit(database)).toMatchObject({ valid: true, lines: 6 });
    const cut = { valid: false, lines: 6, fault: { kind: 'cut', seq: null } };
    expect(await verifyAudit(database, { head: head!.hash })).toMatchObject(cut);
    await database.close();
  });

  it('erased lines fit if a later line says that they were erased', async () => {
    const database = await log();
    await atOnce(database.query, async (query) => {
      const erased = await eraseLines(query, [2, 3, 5]);
      expect(erased).toEqual([
        [2, 3],
        [5, 5],
      ]);
      await appendLine(query, { kind: 'retention applied', detail: { erased } });
    });
    expect(await verifyAudit(database)).toMatchObject({ valid: true, lines: 9, erased: 3 });
    expect(JSON.stringify(await rowsOf(database))).not.toContain('"n\\":2');
    await database.close();
  });

  // two connections of one process to SQLite would wait for each other: test/feedback.test.ts has processes
  if (kind === 'PostgreSQL')
    it('two servers at once write one chain', async () => {
      const at = await address();
      const servers = [await openDatabase(at), await openDatabase(at)];
      await Promise.all(
        servers.flatMap((server, s) =>
          Array.from({ length: 20 }, (_, n) =>
            n % 2 === 0 ? addPerson(server, `p ${s} ${n}`) : createProject(server, `project ${s} ${n}`),
          ),
        ),
      );
      const check = await verifyAudit(servers[0]);
      expect(check).toMatchObject({ valid: true, lines: 40, head: { seq: 40 } });
      for (const server of servers) await server.close();
    });

  if (kind === 'PostgreSQL')
    it('a transaction that waits after its line was noted is in no deadlock', async () => {
      const database = await log();
      await addPerson(database, 'ada');
      const touch = (query: DatabaseQuery) => query.updateTable('people').set({ role: 'owner' }).execute();
      let touched = () => {};
      const ready = new Promise<void>((resolve) => (touched = resolve));
      const first = atOnce(database.query, async (query) => {
        await note(query, { kind: 'noted first' });
        await ready;
        await touch(query); // waits for the second, which does not wait for the log
      });
      const second = atOnce(database.query, async (query) => {
        await touch(query);
        touched();
        await eventually(async () => {
          const { rows } = await sql`select 1 from pg_locks where not granted`.execute(database.query);
          expect(rows).toHaveLength(1); // the first waits
        });
        await note(query, { kind: 'noted second' });
      });
      await Promise.all([first, second]);
      const kinds = (await auditTrail(database, { limit: 2 })).map(({ kind }) => kind);
      expect(kinds).toEqual(['noted first', 'noted second']);
      await database.close();
    });

  it('a line is there if what it records is, and not otherwise', async () => {
    const database = await log();
    await expect(
      atOnce(database.query, async (query) => {
        await note(query, { kind: 'never' });
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await note(database.query, { kind: 'next' });
    expect(await verifyAudit(database)).toMatchObject({ valid: true, lines: 9, head: { seq: 9 } });
    await database.close();
  });
});
