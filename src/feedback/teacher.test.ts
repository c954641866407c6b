import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { ownStores } from '../../test/support/stores.ts';
import type { CurrentJudgment, QueryJudgment } from '../preference/index.ts';
import {
  addPerson,
  assignItems,
  createHumanTeacher,
  createProject,
  type Database,
  type JudgmentOrSkip,
  openDatabase,
  type PairChoice,
  type Person,
  type Project,
  recordDecision,
  recordJudgment,
  undoJudgment,
} from './index.ts';

const { kinds, skipWhereMissing } = await ownStores();

let database: Database;
let people: Person[];
afterEach(() => database?.close());

const questions = (...texts: [string, string][]) => texts.map((options, i) => ({ id: `q${i}`, options }));
let time = Date.UTC(2026, 10, 22);
/** How often a teacher has asked for the time: at each look at the store. */
let looks = 0;
const now = () => {
  looks++;
  return time;
};
const teacherOf = (project: Project, settle = 0, asker = 'one') =>
  createHumanTeacher<string>(database, project, {
    asker,
    now,
    toContent: ({ options }) => ({ options: options.map((text) => ({ kind: 'text', text })) }),
    every: 2,
    settle,
  });

let judgments = 0;
const record = (project: Project, { id }: Person, item: string, judgment: JudgmentOrSkip) =>
  recordJudgment(database, project, id, { id: `v${judgments++}`, item, judgment }, time);
const takeBack = (project: Project, { id }: Person, item: string) =>
  undoJudgment(database, project, id, { id: `v${judgments++}`, item }, time);
const decide = (project: Project, { id }: Person, item: string, choice: PairChoice) =>
  recordDecision(database, project, id, { id: `v${judgments++}`, item, judgment: { kind: 'pair', choice } }, time);
/** Their next item, answered. */
async function judgment(project: Project, person: Person, choice: PairChoice | 'skip'): Promise<string> {
  const [{ item }] = await assignItems(database, project, person.id, { now: time });
  await record(project, person, item.id, choice === 'skip' ? { kind: choice } : { kind: 'pair', choice });
  return item.id;
}

/** Lets others say something once the questions are put, and gathers what comes of it. */
async function hear(
  answers: AsyncIterable<QueryJudgment>,
  say: (heard: readonly unknown[]) => Promise<unknown>,
): Promise<[string, QueryJudgment['choice']][]> {
  const judgments: [string, QueryJudgment['choice']][] = [];
  const before = looks;
  // the teacher first looks when all questions are there
  const done = eventually(() => expect(looks).toBeGreaterThan(before)).then(() => say(judgments));
  for await (const { id, choice } of answers) judgments.push([id, choice]);
  await done; // others may hear of a judgment before who gave it is told that it is on the disk
  return judgments;
}
/** Resolves when the teacher has looked at the store as it is now: one look may be under way, and the next one has ended. */
async function seen(): Promise<void> {
  const before = looks;
  await eventually(() => expect(looks).toBeGreaterThan(before + 2));
}
const listen = (teacher: ReturnType<typeof teacherOf>, queries: ReturnType<typeof questions>, signal?: AbortSignal) =>
  teacher.answer(queries, signal) as AsyncIterable<QueryJudgment>;

describe.each(kinds)('people as a teacher, on %s', (kind, address) => {
  skipWhereMissing(kind);
  beforeEach(async () => {
    database = await openDatabase(await address());
    people = [];
    for (const name of ['ada', 'ben', 'cy']) people.push((await addPerson(database, name)).person);
  });

  it('answer as they come to it: one better, both alike, neither comparable, skipped', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const queries = questions(['a', 'b'], ['c', 'd'], ['e', 'f'], ['g', 'h']);
    const judgments = await hear(listen(teacherOf(project), queries), async () => {
      await judgment(project, people[0], 'second');
      await judgment(project, people[1], 'tie');
      await judgment(project, people[0], 'unknown');
      await judgment(project, people[1], 'skip');
    });
    expect(Object.fromEntries(judgments)).toEqual({ q0: [0, 1], q1: [0.5, 0.5], q2: 'incomparable', q3: 'skip' });
    expect(await assignItems(database, project, people[2].id)).toEqual([]); // what one skips, nobody is asked
  });

  it('are asked once what is asked again, and what was said meanwhile counts, whichever way round', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const stop = new AbortController();
    const first = hear(listen(teacherOf(project), questions(['a', 'b']), stop.signal), async () => stop.abort());
    expect(await first).toEqual([]);
    await judgment(project, people[0], 'first');
    const queries = questions(['b', 'a'], ['a', 'b']);
    const judgments = await hear(listen(teacherOf(project), queries), async () => {});
    expect(judgments).toEqual([
      ['q0', [0, 1]],
      ['q1', [1, 0]],
    ]);
  });

  it('may take back what they said until it counts', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const judgments = await hear(listen(teacherOf(project, 2000), questions(['a', 'b'])), async (heard) => {
      const item = await judgment(project, people[0], 'first');
      time += 1999;
      await seen();
      await takeBack(project, people[0], item);
      await judgment(project, people[0], 'second');
      time += 1999;
      await seen();
      expect(heard).toEqual([]);
      time += 1;
    });
    expect(judgments).toEqual([['q0', [0, 1]]]);
  });

  it('are heard when as many as are wanted have answered, by their mean, unless a reviewer decides', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0, overlap: 3 });
    const queries = questions(['a', 'b'], ['c', 'd']);
    const judgments = await hear(listen(teacherOf(project), queries), async () => {
      await judgment(project, people[0], 'first');
      const item = await judgment(project, people[0], 'first');
      await decide(project, people[1], item, 'second');
      await judgment(project, people[1], 'tie');
      await judgment(project, people[2], 'first');
    });
    expect(Object.fromEntries(judgments)).toEqual({
      q0: [expect.closeTo(5 / 6), expect.closeTo(1 / 6)],
      q1: [0, 1],
    });
  });

  it('are asked no more about what was withdrawn', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const teacher = teacherOf(project);
    const stop = new AbortController();
    await hear(listen(teacher, questions(['a', 'b'], ['c', 'd']), stop.signal), async () => {
      await judgment(project, people[0], 'first');
      stop.abort();
    });
    await teacher.withdraw();
    expect(await assignItems(database, project, people[1].id)).toEqual([]);
  });

  it('may change or take back what was learned, and say something again; whoever asks hears of it once it has settled', async () => {
    const project = await createProject(database, 'clips', { goldShare: 0 });
    const teacher = teacherOf(project);
    const [ada, ben] = people;
    const items: string[] = [];
    const judgments = await hear(listen(teacher, questions(['a', 'b'], ['c', 'd'])), async () => {
      items.push(await judgment(project, ada, 'first'), await judgment(project, ada, 'second'));
    });
    const standings = new Map<string, CurrentJudgment>(judgments as [string, CurrentJudgment][]);
    const changed = async () => {
      const now = await teacher.changed!(standings);
      for (const [id, standing] of now) standings.set(id, standing);
      return Object.fromEntries(now);
    };
    expect(await changed()).toEqual({});
    const say = (person: Person, item: string, choice: PairChoice) =>
      record(project, person, item, { kind: 'pair', choice });
    await takeBack(project, ada, items[0]);
    expect(await changed()).toEqual({ q0: 'taken back' });
    expect(await changed()).toEqual({});
    await say(ada, items[0], 'tie');
    await decide(project, ben, items[1], 'first');
    expect(await changed()).toEqual({ q0: [0.5, 0.5], q1: [1, 0] });

    const settling = teacherOf(project, 60_000);
    await say(ada, items[0], 'second');
    expect(await settling.changed!(standings)).toEqual(new Map());
    time += 60_000;
    expect(await settling.changed!(standings)).toEqual(new Map([['q0', [0, 1]]]));
    // another process of the same run knows its questions by their ids, another run does not
    expect(await teacherOf(project).changed!(standings)).toEqual(new Map([['q0', [0, 1]]]));
    expect(await teacherOf(project, 0, 'other').changed!(standings)).toEqual(new Map());
  });
});
