/** Stores of earlier versions are brought up to date when they are opened, and lose nothing. */
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { ownStores, withoutChain, withoutTokenDates } from '../../../test/support/stores.ts';
import {
  addItems,
  addPerson,
  assignItems,
  auditTrail,
  changeSettings,
  createProject,
  type Database,
  exportRows,
  findProject,
  isMember,
  openDatabase,
  type PairChoice,
  recordJudgment,
  verifyAudit,
} from '../index.ts';

const { kinds, skipWhereMissing } = await ownStores();

/** What takes a store back, the latest version first. */
const BACK = {
  '011-item-order': ['leases', 'votes'].map((table) => `alter table ${table} drop column handed`),
  '010-token-dates': ['drop index items_order'],
  '009-comments': withoutTokenDates,
  '007-identities': withoutChain,
  '006-suggestions': [
    'drop table comments',
    'drop table filters',
    'drop table reserved',
    'alter table items drop column reserved',
    'drop table identities',
    'drop table signins',
    'drop table keys',
    'drop index sessions_id',
    'drop index sessions_person',
    ...['id', 'seen', 'method', 'device', 'sealed'].map((name) => `alter table sessions drop column ${name}`),
  ],
  '005-members': ['alter table items drop column "suggestionJson"', 'alter table votes drop column suggested'],
  '003-turns': [
    'drop table members',
    'alter table projects drop column archived',
    'drop table estimates',
    'drop index items_progress',
    'alter table items drop column decision',
    'alter table items drop column archived',
    'create index items_progress on items (project, answered, "goldJson") where "goldJson" is null',
  ],
  '001-begin': [
    'drop table turns',
    'drop table tallies',
    'drop index votes_item',
    'drop index items_queue',
    'alter table items drop column wanted',
    'create index items_queue on items (project, priority desc, seq) where closed = 0 and "goldJson" is null',
  ],
};

async function takeBack({ query }: Database, version: keyof typeof BACK): Promise<void> {
  for (const [name, steps] of Object.entries(BACK)) {
    if (name < version) continue;
    for (const step of steps) await sql.raw(step).execute(query);
  }
  await sql.raw(`delete from kysely_migration where name > '${version}'`).execute(query);
}

describe.each(kinds)('%s', (kind, address) => {
  skipWhereMissing(kind);

  it('of before decisions were told from judgments, and of before members', async () => {
    const at = await address();
    const database = await openDatabase(at);
    const people = new Map<string, string>();
    for (const [name, role] of [['ada'], ['ben'], ['rev', 'reviewer']] as const) {
      people.set(name, (await addPerson(database, name, role)).person.id);
    }
    const project = await createProject(database, 'P', { overlap: 3, goldShare: 0 });
    const options = ['a', 'b'].map((text) => ({ kind: 'text' as const, text }));
    await addItems(
      database,
      project,
      ['one', 'two'].map((prompt) => ({ content: { prompt, options } })),
    );
    const { query } = database;
    const items = (await query.selectFrom('items').select('id').orderBy('seq').execute()).map(({ id }) => id);
    let votes = 0;
    const say = (name: string, item: string, choice: PairChoice) =>
      recordJudgment(database, project, people.get(name)!, { id: `v${votes++}`, item, vote: { kind: 'pair', choice } });
    for (const item of items) {
      await say('ada', item, 'first');
      await say('ben', item, 'second');
    }
    await say('rev', items[1], 'tie'); // a judgment of their own, before they decide
    for (const item of items) {
      // as decisions were recorded: a judgment of the reviewer's that names them on the item
      await say('rev', item, 'second');
      const decided = { decidedBy: people.get('rev')!, closed: 1 };
      await query.updateTable('items').set(decided).where('id', '=', item).execute();
    }
    const before = await auditTrail(database);
    await takeBack(database, '003-turns');
    await database.close();

    const again = await openDatabase(at);
    const kept = await findProject(again, 'P');
    const answers = await again.query.selectFrom('answers').select(['item', 'person', 'answerJson']).execute();
    const ofReviewer = answers.filter(({ person }) => person === people.get('rev'));
    expect(ofReviewer.map(({ item, answerJson }) => [item, JSON.parse(answerJson).choice])).toEqual([
      [items[1], 'tie'],
    ]);
    const counts = await again.query.selectFrom('items').select(['answered', 'taken']).orderBy('seq').execute();
    expect(counts).toEqual([
      { answered: 2, taken: 2 },
      { answered: 3, taken: 3 },
    ]);
    const tallies = await again.query.selectFrom('tallies').select(['person', 'given', 'labels']).execute();
    expect(tallies.find(({ person }) => person === people.get('rev'))).toMatchObject({ given: 1, labels: 1 });
    const rows = [];
    for await (const row of exportRows(again, kept)) rows.push(row);
    expect(rows).toMatchObject([
      { prompt: 'one', chosen: 'b', annotators: ['rev'] },
      { prompt: 'two', chosen: 'b', annotators: ['rev'] },
    ]);
    const [ada] = await again.query.selectFrom('people').select(['id', 'name']).where('name', '=', 'ada').execute();
    expect(await isMember(again, kept.id, { ...ada, role: 'annotator' })).toBe(true);
    // what happened before is chained as it was
    const trail = await auditTrail(again);
    expect(trail.map(({ hash, ...line }) => line)).toEqual(before.map(({ hash, ...line }) => line));
    expect(await verifyAudit(again)).toMatchObject({
      valid: true,
      lines: before.length,
      head: { hash: trail[0].hash },
    });
    expect(await isMember(again, kept.id, { id: 'nobody', name: 'nobody', role: 'annotator' })).toBe(false);
    await again.close();
  });

  it('of before the queue', async () => {
    const at = await address();
    const database = await openDatabase(at);
    const [ada, ben] = [await addPerson(database, 'ada'), await addPerson(database, 'ben')];
    const project = await createProject(database, 'P', { goldShare: 0, labels: 1 });
    const options = ['a', 'b'].map((text) => ({ kind: 'text' as const, text }));
    await addItems(
      database,
      project,
      [0, 1].map((n) => ({ content: { prompt: `${n}`, options } })),
    );
    const [{ item }] = await assignItems(database, project, ada.person.id);
    const vote = { kind: 'pair', choice: 'first' } as const;
    await recordJudgment(database, project, ada.person.id, { id: 'v', item: item.id, vote });
    await takeBack(database, '001-begin');
    await database.close();
    const again = await openDatabase(at);
    const kept = await findProject(again, 'P');
    expect(await assignItems(again, kept, ben.person.id)).toEqual([]); // the budget is spent
    const free = await changeSettings(again, kept, { labels: null }, null);
    expect(await assignItems(again, free, ben.person.id, { count: 5 })).toHaveLength(1);
    await again.close();
  });
});
