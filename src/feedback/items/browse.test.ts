/** What reviewers and owners do with items: decide, look for, put away, delete; on SQLite and on PostgreSQL. */
import type { KyselyPlugin } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownStores } from '../../../test/support/stores.ts';
import {
  addItems,
  addPerson,
  archiveItems,
  archiveProject,
  assignItems,
  auditTrail,
  countedJudgments,
  coverageOf,
  createProject,
  type Database,
  deleteItems,
  deleteProject,
  disagreements,
  exportRows,
  findProject,
  itemRecord,
  type JudgmentOrSkip,
  listItems,
  openDatabase,
  ownJudgments,
  type Person,
  type Project,
  qualityOf,
  recordDecision,
  recordJudgment,
  renameProject,
} from '../index.ts';
import { reportOf } from '../quality/report.ts';

const { kinds, skipWhereMissing } = await ownStores();
const first: JudgmentOrSkip = { kind: 'pair', choice: 'first' };
const second: JudgmentOrSkip = { kind: 'pair', choice: 'second' };
const pairOf = (prompt: string, extra = {}) => ({
  content: { prompt, options: ['one', 'two'].map((text) => ({ kind: 'text' as const, text: `${text} ${prompt}` })) },
  ...extra,
});

describe.each(kinds)('%s', (kind, address) => {
  skipWhereMissing(kind);
  let database: Database;
  let project: Project;
  let [ada, ben, rev]: Person[] = [];
  let ids: string[];
  let judgments = 0;
  beforeEach(async () => {
    database = await openDatabase(await address());
    ada = (await addPerson(database, 'ada')).person;
    ben = (await addPerson(database, 'ben')).person;
    rev = (await addPerson(database, 'rev', 'reviewer')).person;
    project = await createProject(database, 'P', { overlap: 2, goldShare: 0 });
    await addItems(database, project, [
      pairOf('roses'),
      pairOf('100 % "violets"', { topic: 'Flowers' }),
      pairOf('known', { gold: { kind: 'pair', choice: 'first' } }),
    ]);
    ids = (await database.query.selectFrom('items').select('id').orderBy('seq').execute()).map(({ id }) => id);
  });
  afterEach(() => database?.close());
  const say = (person: Person, item: string, judgment: JudgmentOrSkip) =>
    recordJudgment(database, project, person.id, { id: `v${judgments++}`, item, judgment });
  const decide = (item: string, judgment: JudgmentOrSkip) =>
    recordDecision(database, project, rev.id, { id: `d${judgments++}`, item, judgment });
  const exported = async (options = {}) => {
    const rows: Record<string, unknown>[] = [];
    for await (const row of exportRows(database, project, options)) rows.push(row);
    return rows;
  };
  const disagree = async () => {
    for (const item of ids) {
      await say(ada, item, first);
      await say(ben, item, second);
    }
  };

  it('a decision is the item’s judgment and nobody’s: it counts into no agreement and no progress', async () => {
    await disagree();
    const before = await reportOf(database, project.id);
    expect(before).toMatchObject({ judgments: 4, items: 2, undecided: 2 });
    await decide(ids[0], second);
    const after = await reportOf(database, project.id);
    expect(after).toMatchObject({ judgments: 4, items: 2, undecided: 1, alpha: before.alpha });
    expect(after.people.map(({ name }) => name).sort()).toEqual(['ada', 'ben']);
    expect((await exported()).map(({ chosen, annotators }) => [chosen, annotators])).toEqual([['two roses', ['rev']]]);
    expect(await exported({ merge: 'each' })).toHaveLength(4);
    const { judgments } = await itemRecord(database, project, ids[0]);
    expect(judgments.map(({ person, kind }) => [person, kind])).toEqual([
      ['ada', 'judgment'],
      ['ben', 'judgment'],
      ['rev', 'decision'],
    ]);
    expect(await assignItems(database, project, rev.id, { count: 9 })).toEqual([]);
  });

  it('gold items reach no reviewer, no agreement and no export, unless they are asked for', async () => {
    await disagree();
    const report = await reportOf(database, project.id);
    const shown = await disagreements(database, project, report, 9);
    expect(shown.map(({ item }) => item.id).sort()).toEqual(ids.slice(0, 2).sort());
    // the gold item says that ada is the more reliable one, so her judgment is the likelier
    expect(shown[0].likeliest.judgment).toEqual(first);
    expect(shown[0].likeliest.probability).toBeGreaterThan(shown[0].next!.probability);
    const [hers, his] = shown[0].judgments;
    expect([hers.name, his.name]).toEqual(['ada', 'ben']);
    expect(hers.reliability!).toBeGreaterThan(his.reliability!);
    const judgments = await countedJudgments(database, project.id);
    expect(qualityOf(judgments)).toMatchObject({ items: 2, judgments: 4 });
    expect(qualityOf(judgments, { gold: true })).toMatchObject({ items: 3, judgments: 6 });
    expect((await coverageOf(database, project))[0].rows.map(({ items }) => items)).toEqual([1, 1]);
    expect(await exported({ format: 'judgments' })).toHaveLength(2);
    expect(await exported({ format: 'judgments', gold: true })).toHaveLength(3);
    await expect(decide(ids[2], second)).rejects.toThrow('gold item');
  });

  it('finds items by who judged them, what they said, and where they differ', async () => {
    const promptsOf = async (options: object) =>
      (await listItems(database, project, options)).items.map(({ text }) => text);
    await say(ada, ids[0], first);
    await say(ben, ids[0], second);
    await say(ada, ids[1], first);
    await say(ben, ids[1], { kind: 'skip', reason: 'no' });
    expect(await promptsOf({ person: 'ben' })).toEqual(['roses']);
    expect(await promptsOf({ person: 'ben', state: 'skipped' })).toEqual(['100 % "violets"']);
    expect(await promptsOf({ verdict: 'second' })).toEqual(['roses']);
    expect(await promptsOf({ person: 'ada', verdict: 'second' })).toEqual([]);
    expect(await promptsOf({ person: 'ada', verdict: 'first' })).toEqual(['roses', '100 % "violets"']);
    expect(await promptsOf({ state: 'disputed' })).toEqual(['roses']);
    await say(ben, ids[0], { kind: 'pair', choice: 'first', reason: 'I was wrong' });
    expect(await promptsOf({ state: 'disputed' })).toEqual([]);
    const rated = await createProject(database, 'good or bad', { kind: 'binary', goldShare: 0 });
    await addItems(database, rated, [{ content: { options: [{ kind: 'text', text: 'x' }] } }]);
    const [{ item }] = await assignItems(database, rated, ada.id);
    await recordJudgment(database, rated, ada.id, {
      id: 'b',
      item: item.id,
      judgment: { kind: 'binary', good: false },
    });

    expect(await listItems(database, rated, { verdict: 'bad' })).toMatchObject({ total: 1 });
    expect(await listItems(database, rated, { verdict: 'good' })).toMatchObject({ total: 0 });
  });

  it('finds items by how an aspect of them was rated, whatever the aspect is called', async () => {
    const aspects = ['$.a "b"', '1', 'clear'].map((name) => ({ name, scale: 10 }));
    const rated = await createProject(database, 'R', { kind: 'rating', aspects, overlap: 2, goldShare: 0 });
    const options = [{ kind: 'text' as const, text: 'fine' }];
    await addItems(database, rated, [{ content: { prompt: 'one', options } }, { content: { prompt: 'two', options } }]);
    const rows = await database.query.selectFrom('items').select('id').where('project', '=', rated.id).execute();
    const rate = (person: Person, at: number, values: number[]) =>
      recordJudgment(database, rated, person.id, {
        id: `r${judgments++}`,
        item: rows[at].id,
        judgment: { kind: 'rating', ratings: Object.fromEntries(aspects.map(({ name }, i) => [name, values[i]])) },
      });
    await rate(ada, 0, [1, 5, 10]);
    await rate(ben, 0, [2, 5, 9]);
    await rate(ada, 1, [8, 6, 2]);
    const found = async (query: object) => (await listItems(database, rated, query)).items.map(({ text }) => text);
    expect(await found({ aspect: '$.a "b"', most: 2 })).toEqual(['one']);
    expect(await found({ aspect: '1', least: 6 })).toEqual(['two']);
    // as a number, 10 is more than 9, and one judgment has to be by the person and in the range
    expect(await found({ aspect: 'clear', least: 9.5 })).toEqual(['one']);
    expect(await found({ aspect: 'clear', least: 9.5, person: 'ben' })).toEqual([]);
    expect(await found({ aspect: 'clear', least: 1 })).toEqual(['one', 'two']);
    expect(await found({ aspect: 'unknown' })).toEqual([]);
  });

  it('a project that was renamed is found by its old name, until another project takes it', async () => {
    const renamed = await renameProject(database, project, 'Q', rev.id);
    expect(renamed).toEqual({ ...project, name: 'Q' });
    for (const name of ['P', 'Q', project.id]) expect((await findProject(database, name)).id).toBe(project.id);
    await expect(renameProject(database, renamed, '../x', null)).rejects.toThrow('cannot be the name');
    const other = await createProject(database, 'P', { goldShare: 0 });
    expect((await findProject(database, 'P')).id).toBe(other.id);
    await expect(renameProject(database, renamed, 'P', null)).rejects.toThrow('already a project named "P"');
    await renameProject(database, renamed, 'R', null);
    await renameProject(database, { ...renamed, name: 'R' }, 'Q', null);
    expect((await findProject(database, 'R')).name).toBe('Q');
    const renames = await database.query
      .selectFrom('events')
      .select('detailJson')
      .where('kind', '=', 'project renamed')
      .execute();
    expect(renames.map(({ detailJson }) => JSON.parse(detailJson).to)).toEqual(['Q', 'R', 'Q']);
    await deleteProject(database, renamed, null);
    await expect(findProject(database, 'R')).rejects.toThrow('no project');
  });

  it('lists somebody’s own judgments with what was there before', async () => {
    await say(ada, ids[0], first);
    await say(ada, ids[1], { kind: 'skip', reason: 'I do not know' });
    await say(ada, ids[0], { kind: 'pair', choice: 'second', reason: 'thorns' });
    await say(ben, ids[0], first);
    const { total, judgments } = await ownJudgments(database, project, ada.id);
    expect(total).toBe(2);
    expect(judgments.map(({ item }) => item.id)).toEqual([ids[0], ids[1]]);
    expect(judgments[0].judgment).toMatchObject({ choice: 'second' });
    expect(judgments[0].history.map(({ judgment }) => judgment)).toEqual([first]);
    // neither the right judgment nor where an item comes from
    expect(Object.keys(judgments[0].item).sort()).toEqual(['content', 'id', 'practice']);
    const found = async (options: object) =>
      (await ownJudgments(database, project, ada.id, options)).judgments.map(({ item }) => item.id);
    expect(await found({ search: 'THORNS roses' })).toEqual([ids[0]]);
    expect(await found({ search: 'know' })).toEqual([ids[1]]);
    expect(await found({ kind: 'skipped' })).toEqual([ids[1]]);
    expect(await found({ kind: 'judged' })).toEqual([ids[0]]);
    expect(await found({ limit: 1, offset: 1 })).toEqual([ids[1]]);
    await archiveItems(database, project, [ids[0]], true);
    expect(await found({})).toEqual([ids[1]]);
  });

  it('finds items by words and by state', async () => {
    const promptsOf = async (options: object) =>
      (await listItems(database, project, options)).items.map(({ text }) => text);
    expect(await promptsOf({ search: 'ROSES' })).toEqual(['roses']);
    expect(await promptsOf({ search: '"violets" 100' })).toEqual(['100 % "violets"']);
    expect(await promptsOf({ search: '% flowers' })).toEqual(['100 % "violets"']);
    expect(await promptsOf({ search: '_oses' })).toEqual([]);
    await say(ada, ids[0], first);
    await decide(ids[1], first);
    expect(await promptsOf({ state: 'open' })).toEqual(['roses']);
    expect(await promptsOf({ state: 'decided' })).toEqual(['100 % "violets"']);
    expect(await promptsOf({ state: 'gold' })).toEqual(['known']);
    expect(await listItems(database, project, { limit: 1, offset: 1 })).toMatchObject({
      total: 3,
      items: [{ id: ids[1] }],
    });
  });

  // SQLite serves one statement after the other, so that the change comes before the next one
  if (kind !== 'PostgreSQL')
    it('misses no judgment that is changed while others are read', async () => {
      await disagree();
      let change: Promise<unknown> | undefined;
      const changing: KyselyPlugin = {
        transformQuery: ({ node }) => node,
        async transformResult({ result }) {
          if ('judgmentJson' in (result.rows[0] ?? {})) change ??= say(ada, ids[0], second);
          return result;
        },
      };
      const judgments = await countedJudgments({ query: database.query.withPlugin(changing) }, project.id);
      await change;
      expect(judgments.filter(({ person, item }) => person === ada.id && item === ids[0])).toMatchObject([
        { judgment: second },
      ]);
      expect(judgments).toEqual(await countedJudgments(database, project.id));
    });

  it('finds items of a large project, a part after the other', async () => {
    const names = Array.from({ length: 5020 }, (_, i) => `number ${i}`);
    const large = await createProject(database, 'large');
    for (let from = 0; from < names.length; from += 1000) {
      const some = names.slice(from, from + 1000);
      await addItems(
        database,
        large,
        some.map((name) => pairOf(name)),
      );
      // items of other projects lie between
      await addItems(database, project, [pairOf(`between ${from}`)]);
    }
    const textsOf = async (options: object) => {
      const { total, items } = await listItems(database, large, options);
      return { total, texts: items.map(({ text }) => text) };
    };
    expect(await textsOf({ offset: 4990, limit: 20 })).toEqual({ total: 5020, texts: names.slice(4990, 5010) });
    expect(await textsOf({ search: '99', offset: 18, limit: 4 })).toEqual({
      total: names.filter((name) => name.includes('99')).length,
      texts: names.filter((name) => name.includes('99')).slice(18, 22),
    });
    expect(await textsOf({ search: 'between' })).toEqual({ total: 0, texts: [] });
  });

  it('puts items and projects away and takes them back; deletes them with all that was said', async () => {
    await disagree();
    expect(await archiveItems(database, project, [ids[0], 'none'], true)).toBe(1);
    expect(await listItems(database, project, {})).toMatchObject({ total: 2 });
    expect(await reportOf(database, project.id)).toMatchObject({ judgments: 2 });
    expect(await assignItems(database, project, rev.id, { count: 9 })).toEqual([]);
    expect(await archiveItems(database, project, [ids[0]], false)).toBe(1);
    expect(await reportOf(database, project.id)).toMatchObject({ judgments: 4 });
    expect(await deleteItems(database, project, [ids[0]], rev.id)).toBe(1);
    expect(await reportOf(database, project.id)).toMatchObject({ judgments: 2 });
    const tallies = await database.query.selectFrom('tallies').select(['given', 'labels']).execute();
    expect(tallies).toEqual(new Array(2).fill({ given: 2, labels: 1 }));

    await addItems(database, project, [pairOf('new')]);
    const away = await archiveProject(database, project, true, rev.id);
    expect(await assignItems(database, away, ada.id)).toEqual([]);
    expect((await findProject(database, 'P')).archived).toBe(away.archived);
    const back = await archiveProject(database, away, false, rev.id);
    expect(await assignItems(database, back, ada.id)).toHaveLength(1);
    await deleteProject(database, back, rev.id);
    await expect(findProject(database, 'P')).rejects.toThrow('no project');
    expect(await database.query.selectFrom('judgments').selectAll().execute()).toEqual([]);
    const [last, ...earlier] = await auditTrail(database, { limit: 5 });
    expect(last).toMatchObject({ kind: 'project deleted', person: 'rev', detail: { name: 'P', judgments: 4 } });
    expect(earlier.map(({ kind }) => kind)).toEqual([
      'project restored',
      'project archived',
      'items added',
      'items deleted',
    ]);
  });
});
