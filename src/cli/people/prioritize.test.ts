import { expect, it } from 'vitest';
import type { Reward } from '../../align/index.ts';
import { addItems, addPerson, assignItems, createProject, openDatabase } from '../../feedback/index.ts';
import { prioritize, priorityOf } from './prioritize.ts';

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
