/** A backup holds all of a store at one moment, and restores into either database or not at all. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { ownStores } from '../../../test/support/stores.ts';
import {
  addItems,
  addPerson,
  assignItems,
  auditTrail,
  backupStore,
  checkBackup,
  createProject,
  type Database,
  findProject,
  openDatabase,
  recordJudgment,
  restoreStore,
  undoJudgment,
} from '../index.ts';
import { decryptWith, HEAD_BYTES } from './encryption.ts';
import { sqliteDialect } from './sqlite.ts';

const { folder, kinds, skipWhereMissing } = await ownStores();
const KEY = 'six words that nobody ever guesses';

let files = 0;
const newFile = (end = 'backup') => join(folder, `file-${files++}.${end}`);
const options = ['a', 'b'].map((text) => ({ kind: 'text' as const, text }));
const itemsOf = (count: number, text = '') =>
  Array.from({ length: count }, (_, n) => ({ content: { prompt: `${n} ü 雨 "\u0000\ud800" ${text}`, options } }));

/** A store with rows in every table that a backup holds. */
async function fill(address: string, items = 5): Promise<Database> {
  const database = await openDatabase(address);
  const ada = await addPerson(database, 'ada');
  const project = await createProject(database, 'P', { goldShare: 0, overlap: 2 }, { guidelines: 'Be kind.' });
  await addItems(database, project, itemsOf(items));
  for (let n = 0; n < 3; n++) {
    const [{ item }] = await assignItems(database, project, ada.person.id);
    const judgment = { kind: 'pair', choice: 'first' } as const;
    await recordJudgment(database, project, ada.person.id, { id: `v${n}`, item: item.id, judgment, duration: 1234.5 });
  }
  await assignItems(database, project, ada.person.id); // a lease
  const created = Date.now() + 0.25;
  const { query } = database;
  await query.insertInto('turns').values({ id: 't', person: ada.person.id, contentJson: '{}', created }).execute();
  return database;
}

/** All rows of a store, besides sessions and sign-ins. */
async function contentOf({ query }: Database): Promise<Record<string, unknown[]>> {
  const content: Record<string, unknown[]> = {};
  for (const { name } of await query.introspection.getTables()) {
    if (['sessions', 'signins', 'webhooks', 'deliveries'].includes(name)) continue;
    const rows = await query
      .selectFrom(name as 'items')
      .selectAll()
      .execute();
    const texts = rows.map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))));
    content[name] = texts.sort();
  }
  return content;
}

describe.each(kinds.flatMap(([from, source]) => kinds.map(([to, target]) => [from, to, source, target] as const)))(
  'from %s to %s',
  (from, to, source, target) => {
    skipWhereMissing(from);
    skipWhereMissing(to);

    it('restores every row, and the store goes on from there', async () => {
      const [at, out, into] = [await source(), newFile(), await target()];
      const database = await fill(at, 250);
      const summary = await backupStore({ store: at, out });
      expect(summary).toMatchObject({ encrypted: false, tables: { items: 250, judgments: 3, leases: 1, turns: 1 } });
      const content = await contentOf(database);
      // every table of the store is in the backup, or left out on purpose
      expect(Object.keys(summary.tables).sort()).toEqual(Object.keys(content).sort());
      await database.close();
      const { audit, ...restoredSummary } = await restoreStore(out, { store: into });
      expect(restoredSummary).toEqual(summary);
      expect(audit).toMatchObject({ valid: true, lines: summary.tables.events });

      const restored = await openDatabase(into);
      expect(await contentOf(restored)).toEqual(content);
      const project = await findProject(restored, 'P');
      const [ada] = await restored.query.selectFrom('people').select('id').execute();
      const { item } = await restored.query
        .selectFrom('judgments')
        .select('item')
        .where('id', '=', 'v2')
        .executeTakeFirstOrThrow();
      await undoJudgment(restored, project, ada.id, { id: 'u', item });
      expect((await addItems(restored, project, itemsOf(1, 'more'))).added).toBe(1);
      expect((await auditTrail(restored)).length).toBeGreaterThan(0);
      await expect(restoreStore(out, { store: into })).rejects.toThrow(/is not empty: it has projects/);
      await restored.close();
    });
  },
);

describe.each(kinds)('%s', (kind, address) => {
  skipWhereMissing(kind);

  it('is one moment of a store that others write, who do not wait', async () => {
    const at = await address();
    const database = await fill(at, 1200);
    const project = await findProject(database, 'P');
    let written = 0;
    let running = true;
    const writing = (async () => {
      const [ada] = await database.query.selectFrom('people').select('id').execute();
      while (running) {
        const n = written;
        // one transaction: a backup has both rows, or none
        await database.query.transaction().execute(async (query) => {
          await addItems({ ...database, query }, project, itemsOf(1, `more ${n}`));
          await query
            .insertInto('turns')
            .values({ id: `m${n}`, person: ada.id, contentJson: '{}', created: n })
            .execute();
        });
        written++;
        await new Promise(setImmediate);
      }
    })();
    const out = newFile();
    let meanwhile = 0;
    const onRows = async () => {
      const before = written;
      await eventually(() => expect(written).toBeGreaterThan(before));
      meanwhile = written;
    };
    const { tables } = await backupStore({ store: at, out, onRows });
    running = false;
    await writing;
    expect(tables.items - 1200).toBe(tables.turns - 1);
    expect(meanwhile).toBeGreaterThan(tables.turns - 1);
    await database.close();
    expect((await checkBackup(out)).tables).toEqual(tables);
  });

  it('restores an audit log that was tampered with as it is, and says so', async () => {
    const [at, out, into] = [await address(), newFile(), await address()];
    const database = await fill(at);
    await database.query.updateTable('events').set({ kind: 'nothing' }).where('seq', '=', 2).execute();
    await database.close();
    await backupStore({ store: at, out });
    const { audit } = await restoreStore(out, { store: into });
    expect(audit).toMatchObject({ valid: false, fault: { kind: 'changed', seq: 2 } });
  });

  it('leaves nothing of a restoration that the store refuses', async () => {
    const [at, out, bad, into] = [await address(), newFile(), newFile(), await address()];
    await (await fill(at)).close();
    await backupStore({ store: at, out });
    // a well-formed file whose judgments name an item that it does not have
    const lines = gunzipSync(readFileSync(out)).toString().trimEnd().split('\n').slice(0, -1);
    const text = `${lines.join('\n').replace(/("table":"judgments".*?"item":")[^"]*/, '$1nowhere')}\n`;
    const sha256 = createHash('sha256').update(text).digest('hex');
    writeFileSync(bad, gzipSync(`${text}${JSON.stringify({ sha256 })}\n`));
    await expect(restoreStore(bad, { store: into })).rejects.toThrow(/refused rows of "judgments", lines \d+ to \d+/);
    if (kind === 'SQLite') expect(existsSync(into)).toBe(false);
    await restoreStore(out, { store: into }); // it is still empty
  });
});

describe('the file', () => {
  let store: string;
  let plain: string;
  beforeAll(async () => {
    store = newFile('db');
    plain = newFile();
    const database = await fill(store, 100);
    // what gzip cannot shrink
    await addItems(database, await findProject(database, 'P'), itemsOf(1, randomBytes(145_000).toString('base64')));
    await database.close();
    await backupStore({ store, out: plain });
  });

  const changed = (path: string, change: (bytes: Buffer) => Buffer): string => {
    const out = newFile();
    writeFileSync(out, change(Buffer.from(readFileSync(path))));
    return out;
  };
  const flipped = (path: string, at: number) =>
    changed(path, (bytes) => {
      bytes[at < 0 ? bytes.length + at : at] ^= 1;
      return bytes;
    });
  /** Expects a restoration to fail, and to leave no store. */
  const refused = async (path: string, message: RegExp, passphrase?: string) => {
    const into = newFile('db');
    await expect(restoreStore(path, { store: into, passphrase })).rejects.toThrow(message);
    expect(existsSync(into)).toBe(false);
  };

  it('is JSON lines that other programs read, for its owner alone', () => {
    const lines = gunzipSync(readFileSync(plain)).toString().trimEnd().split('\n');
    expect(JSON.parse(lines[0])).toMatchObject({ format: 'heed-backup', version: 1, tables: { items: 101 } });
    expect(JSON.parse(lines[1])).toMatchObject({ table: 'projects', row: { name: 'P' } });
    if (process.platform !== 'win32') expect(statSync(plain).mode & 0o777).toBe(0o600);
  });

  it('is refused if it was changed or cut anywhere, or has more at its end', async () => {
    const { length } = readFileSync(plain);
    for (const part of [0.1, 0.5, 0.9]) await refused(flipped(plain, Math.floor(part * length)), /is damaged/);
    await refused(
      changed(plain, (bytes) => bytes.subarray(0, length - 20)),
      /is damaged: it was cut/,
    );
    await refused(
      changed(plain, (bytes) => bytes.subarray(0, length / 2)),
      /is damaged: it was cut/,
    );
    const more = gzipSync('{"table":"turns","row":{}}\n');
    await refused(
      changed(plain, (bytes) => Buffer.concat([bytes, more])),
      /after its end/,
    );
    const lines = gunzipSync(readFileSync(plain)).toString().trimEnd().split('\n');
    const from = (kept: string[]) => changed(plain, () => gzipSync(`${kept.join('\n')}\n`));
    await refused(from(lines.slice(0, -1)), /cut off: its last lines/);
    await refused(from(lines.filter((_, at) => at !== 9)), /checksum does not match/);
    await refused(from([lines[0].replace('"version":1', '"version":2')]), /format version 2: expected 1/);
    await refused(from([lines[0].replace(/"schema":"[^"]*"/, '"schema":"999-later"')]), /another version of heed/i);
    await refused(from(['{"prompt":"a"}']), /not the header/);
    await refused(store, /is not a backup of heed/);
    await refused(newFile(), /Could not read .* no such file/);
  });

  it('is encrypted in chunks that cannot be changed, cut or exchanged', async () => {
    const out = newFile();
    await backupStore({ store, out, passphrase: KEY });
    await refused(out, /is encrypted, and there is no key/);
    await refused(out, /with another key/, 'another');
    const bytes = readFileSync(out);
    const head = bytes.subarray(0, HEAD_BYTES);
    const decrypt = await decryptWith(KEY, head, 'file');
    const plainOf = async (...parts: Uint8Array[]) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of decrypt(Readable.from(parts))) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    const size = 2 ** 16 + 16;
    const chunks: Uint8Array[] = [];
    for (let at = HEAD_BYTES; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    expect(chunks.length).toBeGreaterThan(2);
    const [first, second, ...others] = chunks;
    const last = chunks.at(-1)!;
    expect(gunzipSync(await plainOf(...chunks)).toString()).toContain('"format":"heed-backup"');
    const changedChunk = Buffer.from(second);
    changedChunk[7] ^= 1;
    for (const parts of [
      [first, changedChunk, ...others],
      [second, first, ...others],
      [first, ...others],
      chunks.slice(0, -1),
      [...chunks.slice(0, -1), last.subarray(0, last.length - 1)],
      [...chunks, last],
      [],
    ]) {
      await expect(plainOf(...parts)).rejects.toThrow(/"file" is damaged or cut off: bytes \d+ to/);
    }
  });

  it('appears whole or not at all', async () => {
    const before = new Set(readdirSync(folder));
    await expect(backupStore({ store: newFile('db'), out: newFile() })).rejects.toThrow(/There is no store/);
    await expect(backupStore({ store, out: store })).rejects.toThrow(/would replace the store/);
    await expect(backupStore({ store: plain, out: newFile() })).rejects.toThrow(/cannot be opened/);
    await expect(backupStore({ store, out: join(folder, 'none', 'b') })).rejects.toThrow(/Could not write/);
    await expect(backupStore({ store, out: newFile(), passphrase: '' })).rejects.toThrow(/key of the backup is empty/);
    // nothing new: what SQLite keeps beside an open file goes when the last of the tests before has closed it
    expect(readdirSync(folder).filter((name) => !before.has(name))).toEqual([]);
    const other = newFile('db');
    await (await sqliteDialect(other)).createDriver().destroy();
    await expect(backupStore({ store: other, out: newFile() })).rejects.toThrow(/contains no store of heed/);
  });
});
