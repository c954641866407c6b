/** What takes the studio long does not keep people waiting. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { addItems, addPerson, createClient, createProject, openDatabase } from '../src/feedback/index.ts';
import { ownFolder } from './support/heed.ts';
import { startStudio } from './support/studio.ts';

const folder = ownFolder();
const ITEMS = 4000;

/** A project with two judgments to each item but the last hundred, as judgments would leave them. */
async function fill(path: string): Promise<string> {
  const database = await openDatabase(path);
  const { token, person } = await addPerson(database, 'ada', 'owner');
  const others: string[] = [];
  for (const name of ['ben', 'cy', 'di']) others.push((await addPerson(database, name)).person.id);
  const project = await createProject(database, 'p', { overlap: 2, goldShare: 0 });
  const options = ['one', 'two'].map((text) => ({ kind: 'text' as const, text }));
  await addItems(
    database,
    project,
    Array.from({ length: ITEMS }, (_, n) => ({ content: { prompt: `${n}`, options } })),
  );
  const items = await database.query.selectFrom('items').select('id').orderBy('seq').execute();
  await database.query.transaction().execute(async (query) => {
    for (const [n, { id: item }] of items.slice(0, -100).entries()) {
      const own = [person.id, others[n % 3]].map((person, i) => {
        const judgmentJson = JSON.stringify({ kind: 'pair', choice: (n + i) % 7 === 0 ? 'second' : 'first' });
        return { item, person, project: project.id, kind: 'judgment', judgmentJson, created: n };
      });
      const seqs = await query
        .insertInto('judgments')
        .values(own.map((one, i) => ({ ...one, id: `${n} ${i}`, guidelines: 1 })))
        .returning('seq')
        .execute();
      await query
        .insertInto('latest')
        .values(own.map((one, i) => ({ ...one, judgment: seqs[i].seq })))
        .execute();
      await query.updateTable('items').set({ answered: 2, taken: 2 }).where('id', '=', item).execute();
    }
  });
  await database.close();
  return token;
}

it('goes on answering while it finds out how far people agree', async () => {
  const token = await fill(join(folder.path, 'feedback.db'));
  const { url, stop } = await startStudio(folder.path);
  try {
    const studio = createClient({ url, token });
    await studio.next('p');
    let found = false;
    const quality = studio.quality('p').finally(() => {
      found = true;
    });
    const same = studio.disagreements('p');
    let answered = 0;
    // no more than there are open items, however long it takes
    for (; !found && answered < 100; answered++) {
      const [{ item }] = await studio.next('p');
      await studio.judge('p', { id: `mine ${answered}`, item: item.id, judgment: { kind: 'pair', choice: 'first' } });
    }
    expect(answered).toBeGreaterThan(10);
    const { judgments, undecided, disagreements, people, judged } = await quality;
    // those that it found, and of the new ones some
    const more = judgments - 2 * (ITEMS - 100);
    expect(more).toBeGreaterThanOrEqual(0);
    expect({ undecided, judged }).toEqual({ undecided: 1115, judged: ITEMS - 100 + more });
    expect(disagreements).toHaveLength(1000);
    expect(people.map(({ name }) => name).sort()).toEqual(['ada', 'ben', 'cy', 'di']);
    expect((await same).map(({ item }) => item.id)).toEqual(disagreements.slice(0, 50).map(({ item }) => item));
    // what was said meanwhile is in the next report, which is not waited for where it takes long
    expect([judgments, 2 * (ITEMS - 100) + answered]).toContain((await studio.quality('p')).judgments);
  } finally {
    await stop();
  }
});
