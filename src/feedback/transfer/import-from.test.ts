/** Projects move in from other tools and out to them; the fixtures are made by the tools themselves. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownStores } from '../../../test/support/stores.ts';
import { writeDataset } from '../../data/index.ts';
import {
  countedJudgments,
  createProject,
  type Database,
  exportRows,
  exportTo,
  findProject,
  guidelinesOf,
  importFrom,
  importItems,
  listItems,
  listPeople,
  listProjects,
  membersOf,
  openDatabase,
  qualityOf,
} from '../index.ts';
import { readXml } from './xml.ts';

const { folder, kinds, skipWhereMissing } = await ownStores();
const fixture = (name: string) => join(import.meta.dirname, '../../../test/fixtures/transfer', name);

describe.each(kinds)('%s', (kind, address) => {
  skipWhereMissing(kind);
  let database: Database;
  beforeEach(async () => {
    database = await openDatabase(await address());
  });
  afterEach(() => database?.close());
  const path = (name: string) => join(folder, `${kind} ${name}`);
  const rowsOf = async (name: string) => {
    const rows = [];
    for await (const row of exportRows(database, await findProject(database, name), { format: 'judgments' }))
      rows.push(row);
    return rows as {
      prompt: unknown;
      options: { text: string }[];
      metadata: object;
      suggestion?: object;
      judgments: { person: string; judgment: object; time: number; duration?: number }[];
    }[];
  };
  const users = fixture('argilla/users.json');

  it('brings a dataset of Argilla in, dry first, and again without adding anything', async () => {
    const from = { project: 'moved', users };
    const dry = await importFrom(database, 'argilla', fixture('argilla/disk'), { ...from, dryRun: true });
    expect(await listProjects(database)).toEqual([]);
    expect(await listPeople(database)).toEqual([]);
    const done = await importFrom(database, 'argilla', fixture('argilla/disk'), from);
    expect(done).toEqual(dry);
    expect(
      done.map(({ name, kind, added, judgments, suggestions }) => [name, kind, added, judgments, suggestions]),
    ).toEqual([
      ['moved preference', 'pair', 4, 7, 4],
      ['moved order', 'ranking', 4, 4, 0],
      ['moved improved', 'demonstration', 4, 1, 0],
      ['moved ratings', 'rating', 4, 5, 1],
    ]);
    expect(done[0]).toMatchObject({ created: true, people: ['ada', 'ben'] });
    expect(done[0].leftOut).toEqual([
      { what: 'answers to the question "entities" (span), which heed does not have', records: 1, of: 4 },
    ]);
    const again = await importFrom(database, 'argilla', fixture('argilla/disk'), from);
    expect(again.map(({ added, judgments, created }) => [added, judgments, created])).toEqual(
      Array(4).fill([0, 0, false]),
    );

    const project = await findProject(database, 'moved preference');
    expect(project.settings).toMatchObject({
      overlap: 2,
      tie: true,
      bothBad: false,
      unknown: false,
      reason: 'optional',
    });
    expect((await guidelinesOf(database, project.id)).text).toBe('Prefer what helps.');
    expect(await membersOf(database, project.id)).toEqual(['ada', 'ben']);
    const [first, second] = await rowsOf('moved preference');
    expect(first).toMatchObject({
      prompt: [{ role: 'user', content: 'Question 0?' }],
      options: [{ text: 'One 0.' }, { text: 'Two 0.' }],
      metadata: { source: 'forum', argilla_id: 'r0' },
      suggestion: { by: 'judge', judgment: { kind: 'pair', choice: 'second' }, score: 0.75 },
      judgments: [{ person: 'ada', judgment: { kind: 'pair', choice: 'first', reason: 'Clearer.' } }],
    });
    expect(second.judgments.map(({ person, judgment }) => [person, (judgment as { choice: string }).choice])).toEqual([
      ['ada', 'first'],
      ['ben', 'tie'],
    ]);
    expect((await rowsOf('moved ratings'))[1].judgments[1].judgment).toMatchObject({
      ratings: { helpful: 4, 'topics: law': 1, 'topics: art': 1, 'topics: code': 1 },
    });
    // nobody has seen a suggestion before judging, so none was followed because of it
    const { suggestions } = qualityOf(await countedJudgments(database, project.id));
    expect(suggestions).toMatchObject({ shown: { n: 0 }, hidden: { n: 6, share: 1 / 3 } });
  });

  const user = (content: string) => [{ role: 'user', content }];
  const assistant = (content: string) => [{ role: 'assistant', content }];

  it('counts a pair whose sides are swapped as the same item, with the judgments turned', async () => {
    const project = await createProject(database, 'P');
    const judgment = (choice: string) => ({ kind: 'pair', choice });
    const rows = [
      { options: ['a', 'b'], judgments: [{ id: '1', person: 'ada', judgment: judgment('first') }] },
      { options: ['b', 'a'], judgments: [{ id: '2', person: 'ben', judgment: judgment('first'), shown: [0, 1] }] },
    ];
    writeFileSync(path('swapped.json'), JSON.stringify(rows));
    await importItems(database, project, [path('swapped.json')]);
    const [row] = await rowsOf('P');
    expect(row.judgments.map((one) => (one.judgment as { choice: string }).choice)).toEqual(['first', 'second']);
    expect(row.judgments[1]).toMatchObject({ shown: [1, 0] });
  });

  if (kind === 'PostgreSQL') return; // what a file becomes does not depend on the database

  it('reads lists of records of Argilla, of which the flat one knows drafts and what was discarded', async () => {
    const [flat] = await importFrom(database, 'argilla', fixture('argilla/flat.json'), { project: 'flat', users });
    expect(flat).toMatchObject({ name: 'flat preference', judgments: 6 });
    expect(flat.leftOut).toContainEqual({ what: 'responses that are drafts', records: 1, of: 4 });
    const last = (await rowsOf('flat preference')).at(-1)!;
    expect(last.judgments.map(({ judgment }) => (judgment as { kind: string }).kind)).toEqual(['pair', 'skip']);
    const nested = await importFrom(database, 'argilla', fixture('argilla/nested.json'), { project: 'nested' });
    expect(nested.map(({ kind, judgments }) => [kind, judgments])).toEqual([
      ['pair', 7],
      ['ranking', 4],
      ['demonstration', 1],
      ['rating', 5],
    ]);
    expect(nested[0].people).toContain('00000000-0000-0000-0000-00000000000b');
  });

  it('brings exports of Label Studio in, JSON and JSON_MIN', async () => {
    const from = { project: 'full', users: fixture('label-studio/users.json') };
    const full = await importFrom(database, 'label-studio', fixture('label-studio/full'), from);
    expect(full.map(({ name, kind, added, judgments }) => [name, kind, added, judgments])).toEqual([
      ['full better', 'pair', 3, 5],
      ['full verdict', 'binary', 3, 4],
      ['full improved', 'correction', 3, 4],
      ['full rank', 'ranking', 3, 4],
      ['full ratings', 'rating', 3, 4],
    ]);
    expect(full[0].leftOut.map(({ what, records }) => [what, records])).toEqual([
      ['suggestions by several models: an item has the one with the highest score', 2],
      ['answers to the question "names" (Labels), which heed does not have', 1],
      ['answers marked as the truth, which were imported as judgments', 1],
    ]);
    const [first, second] = await rowsOf('full better');
    expect(first).toMatchObject({
      prompt: 'Question 0?',
      suggestion: { by: 'judge-1', score: 0.9 },
      judgments: [{ person: 'ada@example.org', judgment: { choice: 'second', reason: 'Shorter.' }, duration: 2500 }],
    });
    expect(first.judgments[0].time).toBe(Date.parse('2026-01-02T03:04:05Z'));
    expect(second.judgments.map(({ person }) => person)).toEqual([
      'ada@example.org',
      'ben@example.org',
      'label-studio 3',
    ]);
    expect((await rowsOf('full rank'))[0].judgments[0].judgment).toMatchObject({ ranks: [2, 3, 1] });
    const small = await importFrom(database, 'label-studio', fixture('label-studio/min'), { ...from, project: 'min' });
    expect(small.map(({ kind, added, judgments }) => [kind, added, judgments])).toEqual([
      ['pair', 3, 4],
      ['binary', 3, 3],
      ['correction', 3, 3],
      ['ranking', 3, 3],
      ['rating', 3, 3],
    ]);
    mkdirSync(path('bare'), { recursive: true });
    writeFileSync(path('bare/export.json'), readFileSync(fixture('label-studio/min/result.json')));
    await expect(importFrom(database, 'label-studio', path('bare'), { project: 'x' })).rejects.toThrow(
      'is a JSON_MIN export',
    );
    writeFileSync(path('bare/export.json'), readFileSync(fixture('label-studio/full/export.json')));
    const guessed = await importFrom(database, 'label-studio', path('bare'), {
      project: 'bare',
      options: ['answer1', 'answer2'],
    });
    expect(guessed.find(({ kind }) => kind === 'pair')).toMatchObject({ name: 'bare better' });
  });

  it('moves a project out to Label Studio, and in again as it was', async () => {
    const moved = await importFrom(database, 'argilla', fixture('argilla/disk'), { project: 'A', users });
    const strip = (rows: Awaited<ReturnType<typeof rowsOf>>) =>
      rows.map(({ options, suggestion, judgments }) => ({
        options,
        suggestion,
        judgments: judgments.map(({ person, judgment }) => [person, judgment]),
      }));
    for (const { name } of moved) {
      const project = await findProject(database, name);
      const tool = 'label-studio';
      const out = path(`${name} ${tool}`);
      expect(await exportTo(database, project, tool, out)).toEqual({ rows: 4, leftOut: [] });
      const [back] = await importFrom(database, tool, out, { project: `${name} ${tool}` });
      expect(back).toMatchObject({ kind: project.settings.kind, added: 4, leftOut: [] });
      expect(strip(await rowsOf(back.name))).toEqual(strip(await rowsOf(name)));
    }
    const config = readXml(readFileSync(path('A preference label-studio/config.xml'), 'utf8'), 'config.xml');
    expect(config.children.map(({ name }) => name)).toEqual([
      'Header',
      'Paragraphs',
      'Text',
      'Text',
      'Choices',
      'TextArea',
    ]);
    await expect(exportTo(database, await findProject(database, 'A ratings'), 'trl', path('r.jsonl'))).rejects.toThrow(
      'TRL has no format with ratings',
    );
  });

  it.each([
    ['pair', { prompt: 'Q', chosen: 'a', rejected: 'b' }],
    ['pair', { prompt: user('Q'), chosen: assistant('a'), rejected: assistant('b') }],
    ['pair', { chosen: [...user('Q'), ...assistant('a')], rejected: [...user('Q'), ...assistant('b')] }],
    ['binary', { prompt: 'Q', completion: 'a', label: false }],
    ['demonstration', { prompt: user('Q'), completion: assistant('a') }],
    ['demonstration', { messages: [...user('Q'), ...assistant('a')] }],
  ])('moves rows of TRL in and out: %s', async (kind, row) => {
    for (const type of ['jsonl', 'parquet']) {
      const [name, file] = [`${type}`, path(`trl.${type}`)];
      await writeDataset(file, [row]);
      const [done] = await importFrom(database, 'trl', file, { project: name });
      expect(done).toMatchObject({ kind, added: 1, judgments: 1, people: ['trl'], leftOut: [] });
      expect(await importFrom(database, 'trl', file, { project: name })).toMatchObject([{ added: 0, judgments: 0 }]);
      const out = path(`out.${type}`);
      expect(await exportTo(database, await findProject(database, name), 'trl', out)).toEqual({ rows: 1, leftOut: [] });
      const [again] = await importFrom(database, 'trl', out, { project: name });
      expect(again).toMatchObject({ added: 0, known: 1, judgments: 0 });
    }
  });

  it('reads OpenAI’s files and writes them', async () => {
    const write = (name: string, rows: readonly object[]) => {
      writeFileSync(path(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      return path(name);
    };
    const preference = {
      input: { messages: user('Q') },
      preferred_output: assistant('a'),
      non_preferred_output: assistant('b'),
    };
    const pairs = write('pairs.jsonl', [preference]);
    expect(await importFrom(database, 'openai-evals', pairs, { project: 'pairs' })).toMatchObject([
      { kind: 'pair', judgments: 1 },
    ]);
    await exportTo(database, await findProject(database, 'pairs'), 'openai-evals', path('pairs-out.jsonl'));
    expect(JSON.parse(readFileSync(path('pairs-out.jsonl'), 'utf8'))).toEqual(preference);
    const chat = { messages: [...user('Q'), ...assistant('a')] };
    const chats = write('chats.jsonl', [chat]);
    expect(await importFrom(database, 'openai-evals', chats, { project: 'chats' })).toMatchObject([
      { kind: 'demonstration', judgments: 1 },
    ]);
    await exportTo(database, await findProject(database, 'chats'), 'openai-evals', path('chats-out.jsonl'));
    expect(JSON.parse(readFileSync(path('chats-out.jsonl'), 'utf8'))).toEqual(chat);

    const graded = write('graded.json', [
      {
        object: 'list',
        data: [true, false].map((passed, i) => ({
          object: 'eval.run.output_item',
          datasource_item_id: i,
          datasource_item: { input: `Q${i}`, ideal: 'x' },
          sample: { output: assistant(`a${i}`) },
          results: [
            { name: 'exact', passed, score: Number(passed) },
            { name: 'style', passed: true, score: 1 },
          ],
        })),
      },
    ]);
    const [done] = await importFrom(database, 'openai-evals', graded, { project: 'graded' });
    expect(done).toMatchObject({ kind: 'binary', added: 2, judgments: 0, suggestions: 2 });
    expect(done.leftOut).toMatchObject([{ what: expect.stringContaining('several graders'), records: 2 }]);
    expect((await rowsOf('graded'))[1]).toMatchObject({
      prompt: 'Q1',
      options: [{ text: 'a1' }],
      suggestion: { by: 'exact', judgment: { kind: 'binary', good: false }, score: 0 },
      metadata: { item: { ideal: 'x' }, openai_id: 1 },
    });
    const items = write('items.jsonl', [{ item: { question: 'What?', ideal: 'That.' } }]);
    expect(await importFrom(database, 'openai-evals', items, { project: 'items' })).toMatchObject([
      { kind: 'demonstration', added: 1 },
    ]);
  });

  it('says what is wrong, and where', async () => {
    const said = async (
      tool: 'argilla' | 'label-studio' | 'trl' | 'openai-evals',
      file: string,
      text: string,
      options = {},
    ) => {
      writeFileSync(path('wrong.jsonl'), text);
      return importFrom(database, tool, file, { project: 'P', ...options }).then(
        () => 'nothing',
        (error) => error.message,
      );
    };
    const wrong = path('wrong.jsonl');
    expect(await said('trl', wrong, '{"a": 1}\n')).toMatch(
      /line 1: expected a row of TRL's formats, got the columns a/,
    );
    expect(await said('openai-evals', wrong, '{"a": 1}\n')).toMatch(
      /line 1: expected a line of OpenAI's formats, got a/,
    );
    expect(await said('trl', path('none'), '')).toMatch('does not exist');
    const spans = JSON.stringify({
      fields: { text: 'x' },
      responses: { names: [{ value: [{ start: 0 }], user_id: 'u' }] },
    });
    expect(await said('argilla', wrong, spans)).toMatch(
      'no judgment for any question of this argilla data: names (span)',
    );
    expect(await said('argilla', fixture('argilla/disk'), '', { prompt: ['nothing'] })).toMatch(
      '--prompt: there is no field "nothing"',
    );
    expect(await said('argilla', fixture('argilla/disk'), '', { users: wrong })).toMatch('is not JSON');
    await createProject(database, 'P', { kind: 'ranking' });
    expect(await said('trl', wrong, '{"prompt": "Q", "completion": "a", "label": true}\n')).toMatch(
      'of kind ranking; this data is of kind binary',
    );
    expect((await listItems(database, await findProject(database, 'P'))).total).toBe(0);
  });
});

it('reads XML, and says in which line it is broken', () => {
  expect(readXml('<?xml version="1.0"?><!-- <b> --><View a="1 &lt; &#50;" b=\'"\'><c/></View>', 'x')).toEqual({
    name: 'View',
    attributes: { a: '1 < 2', b: '"' },
    children: [{ name: 'c', attributes: {}, children: [] }],
  });
  for (const [text, message] of [
    ['<View>\n<a></b></View>', '"x", line 2: expected </a>, got </b>'],
    ['<View>', '<View> is not closed'],
    ['<View>\n\n<a b=1/></View>', 'line 3: a tag is malformed'],
    ['', 'got no tags'],
    ['<a>'.repeat(300), 'nested more than 200 deep'],
  ]) {
    expect(() => readXml(text, 'x')).toThrow(message);
  }
});
