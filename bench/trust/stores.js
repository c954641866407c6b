/** Kinds of files that the studio makes, and reads again: its store, and backups of it. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { bytes, jsonText } from './mutations.js';

const PASSPHRASE = 'correct horse battery staple';

const pair = (n) => ({
  content: { prompt: `Prompt ${n}`, options: ['a', 'b'].map((which) => ({ kind: 'text', text: `${which} ${n}` })) },
});

/** A store with two projects, people, judgments and an audit trail. */
async function fillStore(feedback, at) {
  const database = await feedback.openDatabase(at);
  const pairs = await feedback.createProject(
    database,
    'pairs',
    { goldShare: 0, overlap: 2 },
    { guidelines: 'Choose.' },
  );
  await feedback.createProject(database, 'ratings', { kind: 'rating', aspects: ['helpful'] });
  await feedback.addItems(
    database,
    pairs,
    Array.from({ length: 12 }, (_, n) => pair(n)),
  );
  for (const name of ['ada', 'ben']) {
    const { person } = await feedback.addPerson(database, name);
    await feedback.joinProjects(database, person, ['pairs']);
    for (let i = 0; i < 6; i++) {
      const [next] = await feedback.assignItems(database, pairs, person.id);
      const judgment = { kind: 'pair', choice: i % 3 ? 'first' : 'second' };
      await feedback.recordJudgment(database, pairs, person.id, { id: `${name} ${i}`, item: next.item.id, judgment });
    }
  }
  await database.close();
}

/** Everything that a studio would show of a store. */
async function readStore(feedback, at) {
  const database = await feedback.openDatabase(at);
  try {
    for (const project of await feedback.listProjects(database)) {
      await feedback.listItems(database, project, { limit: 50, offset: 0 });
      feedback.qualityOf(await feedback.countedJudgments(database, project.id));
      for await (const _ of feedback.exportRows(database, project, {}));
    }
    await feedback.listPeople(database);
    await feedback.auditTrail(database, { limit: 100 });
    await feedback.addPerson(database, 'somebody new');
  } finally {
    await database.close();
  }
}

const removeStore = (at) => {
  for (const end of ['', '-wal', '-shm', '-journal']) rmSync(`${at}${end}`, { force: true });
};

const store = {
  file: 'feedback.db',
  rooms: ['feedback'],
  async seeds({ feedback }, folder) {
    const at = join(folder, 'feedback.db');
    await fillStore(feedback, at);
    const data = readFileSync(at);
    removeStore(at);
    return [data];
  },
  mutate: bytes,
  async read({ feedback }, folder) {
    const at = join(folder, 'feedback.db');
    try {
      await readStore(feedback, at);
    } finally {
      removeStore(at);
    }
  },
};

const backupOf = (passphrase) => ({
  file: 'feedback.backup',
  rooms: ['feedback'],
  async seeds({ feedback }, folder) {
    const at = join(folder, 'feedback.db');
    const out = join(folder, 'feedback.backup');
    await fillStore(feedback, at);
    await feedback.backupStore({ store: at, out, passphrase });
    removeStore(at);
    return [readFileSync(out)];
  },
  mutate: bytes,
  async read({ feedback }, folder) {
    const at = join(folder, 'restored.db');
    try {
      await feedback.restoreStore(join(folder, 'feedback.backup'), { store: at, passphrase });
    } catch (error) {
      if (existsSync(at)) throw new Error('a refused backup left a store behind');
      throw error;
    } finally {
      removeStore(at);
    }
  },
});

/** A backup whose lines were changed by their structure, with the checksum that they then have: no accident makes one. */
const forged = {
  ...backupOf(undefined),
  mutate(input, steps) {
    const rows = gunzipSync(input).toString().trimEnd().split('\n').slice(0, -1);
    const index = Math.floor(steps[0].at * rows.length);
    rows[index] = jsonText(JSON.parse(rows[index]), steps);
    const text = `${rows.join('\n')}\n`;
    const end = JSON.stringify({ sha256: createHash('sha256').update(text).digest('hex') });
    return gzipSync(`${text}${end}\n`);
  },
};

export const storeKinds = {
  store,
  backup: backupOf(undefined),
  'backup-forged': forged,
  'backup-encrypted': { ...backupOf(PASSPHRASE), share: 0.1 },
};
