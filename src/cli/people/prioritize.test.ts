import { expect, it } from 'vitest';
import type { Reward } from '../../align/index.ts';
import {
  addItems,
  addPerson,
  assignItems,
  changeSettings,
  countedJudgments,
  createProject,
  itemRecord,
  listItems,
  openDatabase,
  type PairChoice,
  qualityOf,
  recordJudgment,
} from '../../feedback/index.ts';
import { prioritize, priorityOf, suggest } from './prioritize.ts';

const rewardOf = (score: (text: string) => number): Reward => ({
  name: 'test',
  score: async (answers) => answers.map(({ text }) => score(text)),
});

it('items on which a model is least certain, or an ensemble disagrees most, come first', async () => {
  const database = await openDatabase(':memory:');
  const project = await createProject(database, 'p', { goldShare: 0 });
  const pair = (prompt: string, ...texts: string[]) => ({
    content: { prompt, options: texts.map((text) => ({ kind: 'text' as const, text })) },
  });
  await addItems(database, project, [
    pair('clear', 'x', 'xxxxxxxxx'),
    pair('close', 'xx', 'xxx'),
    pair('y', 'y', 'xx'),
  ]);
  const order = async (name: string) => {
    const { person } = await addPerson(database, name);
    const next = await assignItems(database, project, person.id, { count: 3 });
    // others may have the same: held items are taken
    await database.query.deleteFrom('leases').execute();
    await database.query.updateTable('items').set({ taken: 0 }).execute();
    return next.map(({ item }) => item.content.prompt);
  };
  const length = rewardOf((text) => text.length);
  expect(await prioritize(database, project, [length])).toEqual({ items: 3 });
  expect(await order('ada')).toEqual(['close', 'y', 'clear']);
  const liking = rewardOf((text) => text.length + (text.includes('y') ? 5 : 0));
  await prioritize(database, project, [length, liking]);
  expect(await order('ben')).toEqual(['y', 'clear', 'close']);
  const empty = await createProject(database, 'empty');
  await expect(prioritize(database, empty, [length])).rejects.toThrow('no open pairs');
  await database.close();
});

it('agreement of an ensemble on a large difference is no reason to ask', () => {
  expect(priorityOf([3, 3])).toBe(0);
  expect(priorityOf([1, -1])).toBe(1);
  expect(priorityOf([-2])).toBe(-2);
});

it('stores what an ensemble prefers, and measures how judgments follow what they were shown', async () => {
  const database = await openDatabase(':memory:');
  const project = await createProject(database, 'p', { goldShare: 0, overlap: 2 });
  const text = (text: string) => ({ kind: 'text' as const, text });
  await addItems(
    database,
    project,
    Array.from({ length: 60 }, (_, n) => ({ content: { prompt: `${n}`, options: [text('xx'), text('xxxx')] } })),
  );
  const length = rewardOf(({ length }) => length);
  expect(await suggest(database, project, [length, rewardOf(() => 0)], 'length')).toEqual({ items: 60 });
  const { items } = await listItems(database, project, { limit: 1 });
  const { item } = await itemRecord(database, project, items[0].id);
  expect(item.suggestion).toEqual({ by: 'length', scores: [1, 2] });

  // one follows what was shown; the other says the same half of the time
  for (const [name, suggested, second] of [['shown', true, 0.9] as const, ['hidden', false, 0.5] as const]) {
    const { person } = await addPerson(database, name);
    for (const [n, { item }] of (await assignItems(database, project, person.id, { count: 40 })).entries()) {
      const choice: PairChoice = n === 39 ? 'tie' : n < 39 * second ? 'second' : 'first';
      const judgment = { kind: 'pair' as const, choice };
      await recordJudgment(database, project, person.id, { id: `${name} ${n}`, item: item.id, judgment, suggested });
    }
  }
  const { suggestions } = qualityOf(await countedJudgments(database, project.id));
  expect(suggestions).toMatchObject({ shown: { share: 36 / 39, n: 39 }, hidden: { share: 20 / 39, n: 39 } });
  const { value, interval } = suggestions!.difference;
  expect(value).toBeCloseTo(16 / 39, 9);
  // by a program of its own
  expect(interval.map((bound) => bound.toFixed(2))).toEqual(['0.22', '0.57']);

  const clips = await createProject(database, 'one', { kind: 'binary' });
  await addItems(database, clips, [{ content: { options: [text('x')] } }]);
  await expect(suggest(database, clips, [length], 'length')).rejects.toThrow('no items with two texts');
  await expect(changeSettings(database, project, { suggestions: 'always' as 'off' }, null)).rejects.toThrow(
    'suggestions',
  );
  await database.close();
});
