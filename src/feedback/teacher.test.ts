import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Answer as Said } from '../preference/index.ts';
import {
  addPerson,
  adjudicate,
  createPeopleTeacher,
  createProject,
  type Database,
  nextItems,
  openDatabase,
  type PairChoice,
  type Person,
  type Project,
  recordVote,
  undoVote,
} from './index.ts';

let database: Database;
let people: Person[];
beforeEach(async () => {
  database = await openDatabase(':memory:');
  people = [];
  for (const name of ['ada', 'ben', 'cy']) people.push((await addPerson(database, name)).person);
});
afterEach(() => database.close());

const questions = (...texts: [string, string][]) => texts.map((options, i) => ({ id: `q${i}`, options }));
const teacherOf = (project: Project, settle = 0) =>
  createPeopleTeacher<string>(database, project, {
    toContent: ({ options }) => ({ options: options.map((text) => ({ kind: 'text', text })) }),
    every: 2,
    settle,
  });

let votes = 0;
/** Their next item, answered. */
async function vote(project: Project, person: Person, choice: PairChoice | 'skip'): Promise<string> {
  const [{ item }] = await nextItems(database, project, person.id);
  const said = choice === 'skip' ? { kind: choice } : { kind: 'pair' as const, choice };
  await recordVote(database, project, person.id, { id: `v${votes++}`, item: item.id, vote: said as never });
  return item.id;
}

/** Lets others say something once the questions are put, and gathers what comes of it. */
async function hear(answers: AsyncIterable<Said>, say: () => Promise<unknown>): Promise<[string, Said['choice']][]> {
  setTimeout(say, 20);
  const heard: [string, Said['choice']][] = [];
  for await (const { id, choice } of answers) heard.push([id, choice]);
  return heard;
}
const listen = (teacher: ReturnType<typeof teacherOf>, asked: ReturnType<typeof questions>, signal?: AbortSignal) =>
  teacher.answer(asked, signal) as AsyncIterable<Said>;

describe('people as a teacher', () => {
  it('answer as they come to it: one better, both alike, neither comparable, skipped', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const asked = questions(['a', 'b'], ['c', 'd'], ['e', 'f'], ['g', 'h']);
    const heard = await hear(listen(teacherOf(project), asked), async () => {
      await vote(project, people[0], 'second');
      await vote(project, people[1], 'tie');
      await vote(project, people[0], 'unknown');
      await vote(project, people[1], 'skip');
    });
    expect(Object.fromEntries(heard)).toEqual({ q0: [0, 1], q1: [0.5, 0.5], q2: 'incomparable', q3: 'skip' });
    expect(await nextItems(database, project, people[2].id)).toEqual([]); // what one skips, nobody is asked
  });

  it('are asked once what is asked again, and what was said meanwhile counts, whichever way round', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const stop = new AbortController();
    const first = hear(listen(teacherOf(project), questions(['a', 'b']), stop.signal), async () => stop.abort());
    expect(await first).toEqual([]);
    await vote(project, people[0], 'first');
    const asked = questions(['b', 'a'], ['a', 'b']);
    const heard = await hear(listen(teacherOf(project), asked), async () => {});
    expect(heard).toEqual([
      ['q0', [0, 1]],
      ['q1', [1, 0]],
    ]);
  });

  it('may take back what they said until it counts', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const heard = await hear(listen(teacherOf(project, 200), questions(['a', 'b'])), async () => {
      const item = await vote(project, people[0], 'first');
      await undoVote(database, project, people[0].id, { id: 'undone', item });
      await vote(project, people[0], 'second');
    });
    expect(heard).toEqual([['q0', [0, 1]]]);
  });

  it('are heard when as many as are wanted have answered, by their mean, unless a reviewer decides', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0, overlap: 3 });
    const asked = questions(['a', 'b'], ['c', 'd']);
    const heard = await hear(listen(teacherOf(project), asked), async () => {
      await vote(project, people[0], 'first');
      const item = await vote(project, people[0], 'first');
      await adjudicate(database, project, people[1].id, {
        id: 'decided',
        item,
        vote: { kind: 'pair', choice: 'second' },
      });
      await vote(project, people[1], 'tie');
      await vote(project, people[2], 'first');
    });
    expect(Object.fromEntries(heard)).toEqual({
      q0: [expect.closeTo(5 / 6), expect.closeTo(1 / 6)],
      q1: [0, 1],
    });
  });

  it('are asked no more about what was withdrawn', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const teacher = teacherOf(project);
    const stop = new AbortController();
    await hear(listen(teacher, questions(['a', 'b'], ['c', 'd']), stop.signal), async () => {
      await vote(project, people[0], 'first');
      setTimeout(() => stop.abort(), 20);
    });
    await teacher.withdraw();
    expect(await nextItems(database, project, people[1].id)).toEqual([]);
  });
});
