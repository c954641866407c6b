/** Items that are certain enough are asked no more, and people get the items that their judgments settle. */
import { describe, expect, it } from 'vitest';
import { ownStores } from '../../../test/support/stores.ts';
import { random } from '../../random.ts';
import {
  addItems,
  addPerson,
  assignItems,
  changeSettings,
  createProject,
  type Database,
  openDatabase,
  type Project,
  recordJudgment,
  refreshEstimates,
  undoJudgment,
} from '../index.ts';
import { probabilitiesOf, readEstimates, usefulAnnotators, usefulness } from './certainty.ts';

const { kinds, skipWhereMissing } = await ownStores();
const settings = { goldShare: 0, tie: false, bothBad: false, unknown: false } as const;

async function begin(database: Database, items: number, extra: object): Promise<Project> {
  const project = await createProject(database, 'P', { ...settings, ...extra });
  const options = ['a', 'b'].map((text) => ({ kind: 'text' as const, text }));
  const content = (n: number) => ({ content: { prompt: `${n}`, options } });
  await addItems(
    database,
    project,
    Array.from({ length: items }, (_, n) => content(n)),
  );
  return project;
}

describe.each(kinds)('%s', (kind, address) => {
  skipWhereMissing(kind);

  it('asks until an item is certain, more of people who often err, and again after an undo', async () => {
    const database = await openDatabase(await address());
    const project = await begin(database, 60, { overlap: 4, certainty: 0.9 });
    const draws = random(1, 'people');
    // every item is one whose first option is better
    const skills = { ada: 0.97, ben: 0.95, cat: 0.55, dan: 0.5 };
    const ids = new Map<string, string>();
    for (const name of Object.keys(skills)) ids.set(name, (await addPerson(database, name)).person.id);
    let judgments = 0;
    const judge = async (name: keyof typeof skills, item: string) => {
      const choice = draws.uniform() < skills[name] ? 'first' : 'second';
      const judgment = { kind: 'pair', choice } as const;
      return recordJudgment(database, project, ids.get(name)!, { id: `v${judgments++}`, item, judgment });
    };
    for (let round = 0, left = 4; left > 0; round++) {
      left = 0;
      for (const name of Object.keys(skills) as (keyof typeof skills)[]) {
        const [next] = await assignItems(database, project, ids.get(name)!);
        if (!next) continue;
        left++;
        await judge(name, next.item.id);
      }
      if (round % 4 === 0) await refreshEstimates(database, project);
    }
    const rows = await database.query.selectFrom('items').select(['id', 'answered', 'wanted']).execute();
    const given = rows.reduce((sum, { answered }) => sum + answered, 0);
    expect(given).toBeLessThan(180); // three of each would be 180
    expect(rows.every(({ answered, wanted }) => answered === wanted || answered === 4)).toBe(true);
    const estimates = await readEstimates(database.query, project);
    const rightOf = (name: string) => estimates.annotators.get(ids.get(name)!)![0][0];
    expect(rightOf('ada')).toBeGreaterThan(rightOf('cat') + 0.1);

    // one judgment less: the item is asked again
    const { item, person } = await database.query
      .selectFrom('latest')
      .innerJoin('items', 'items.id', 'latest.item')
      .select(['latest.item', 'latest.person'])
      .where('items.answered', '=', 2)
      .executeTakeFirstOrThrow();
    await undoJudgment(database, project, person, { id: 'undo', item });
    const open = database.query.selectFrom('items').select(['answered', 'wanted']).where('id', '=', item);
    expect(await open.executeTakeFirst()).toMatchObject({ answered: 1 });
    const all = await changeSettings(database, project, { certainty: null, overlap: 3 }, null);
    expect(await open.executeTakeFirst()).toEqual({ answered: 1, wanted: 3 });
    await changeSettings(database, all, { certainty: 0.51, overlap: 3 }, null);
    expect(await open.executeTakeFirst()).toEqual({ answered: 1, wanted: 1 });
    await database.close();
  });
});

it('prefers what a judgment settles: doubt for the reliable, what is nearly certain for the others', () => {
  const confusion = (right: number) => [
    [right, 1 - right],
    [1 - right, right],
  ];
  const annotators = new Map([
    ['good', confusion(0.96)],
    ['poor', confusion(0.65)],
  ]);
  const estimates = { shares: [0.5, 0.5], annotators };
  const use = (p: number, person: string) => usefulness([p, 1 - p], estimates, person, 0.95);
  expect(use(0.5, 'good')).toBeGreaterThan(use(0.94, 'good'));
  expect(use(0.94, 'poor')).toBeGreaterThan(use(0.5, 'poor'));
  expect(use(0.5, 'poor')).toBeGreaterThan(use(0.6, 'poor')); // nothing is settled: the information counts
  expect(usefulAnnotators(estimates)).toEqual(new Set(['good']));
  const said = (person: string, choice: 'first' | 'second') => ({
    person,
    judgment: { kind: 'pair' as const, choice },
  });
  expect(probabilitiesOf([said('good', 'first'), said('poor', 'second')], estimates, [0, 1])[0]).toBeCloseTo(0.928, 3);
});

it('is refused for kinds whose judgments have no categories', async () => {
  const database = await openDatabase(':memory:');
  await expect(createProject(database, 'D', { kind: 'demonstration', certainty: 0.9 })).rejects.toThrow(
    'cannot use certainty',
  );
  await expect(createProject(database, 'D', { certainty: 0.2 })).rejects.toThrow('certainty');
  await database.close();
});
