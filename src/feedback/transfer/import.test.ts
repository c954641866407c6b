/** Files of all kinds in and out again. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownStores } from '../../../test/support/stores.ts';
import { type Row, writeDataset } from '../../data/index.ts';
import {
  addItems,
  addPerson,
  assignItems,
  checkItems,
  coverageOf,
  createProject,
  type Database,
  exportRows,
  importItems,
  listItems,
  openDatabase,
  type ProjectInput,
  recordJudgment,
} from '../index.ts';

const { folder, kinds, skipWhereMissing } = await ownStores();

describe.each(kinds)('%s', (kind, address) => {
  skipWhereMissing(kind);
  let database: Database;
  beforeEach(async () => {
    database = await openDatabase(await address());
  });
  afterEach(() => database?.close());

  const projectOf = (settings: ProjectInput = {}) => createProject(database, 'P', { goldShare: 0, ...settings });
  const path = (name: string) => join(folder, `${kind} ${name}`);
  const countOf = async (table: 'items' | 'judgments' | 'people') =>
    Number(
      (await database.query
        .selectFrom(table)
        .select((of) => of.fn.countAll().as('n'))
        .executeTakeFirst())!.n,
    );
  const voted = (n: number, judgment: object = { kind: 'pair', choice: n % 2 === 0 ? 'first' : 'second' }) => ({
    prompt: `Prompt ${n}`,
    options: ['one', 'two'],
    ...(n % 10 === 0 && { judgments: [{ id: `v${n}`, person: n % 3 === 0 ? 'ada' : 'ben', judgment }] }),
  });
  const writeRows = (name: string, rows: readonly object[]) =>
    writeFileSync(path(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

  it('leaves nothing behind if a row or a judgment does not fit, and goes on where it was interrupted', async () => {
    const project = await projectOf({ tie: false });
    const rows = Array.from({ length: 600 }, (_, n) => voted(n));
    writeRows('all.jsonl', rows);
    writeRows('broken.jsonl', rows.with(550, voted(550, { kind: 'pair', choice: 'tie' })));
    const broken = importItems(database, project, [path('broken.jsonl')]);
    await expect(broken).rejects.toThrow(/broken\.jsonl", line 551.*the choice "tie"/);
    writeRows('short.jsonl', rows.with(599, { prompt: 'no options' } as never));
    await expect(importItems(database, project, [path('short.jsonl')])).rejects.toThrow('line 600');
    expect([await countOf('items'), await countOf('judgments'), await countOf('people')]).toEqual([0, 0, 0]);

    const interrupted = importItems(database, project, [path('all.jsonl')], {
      onRows() {
        throw new Error('the power went out');
      },
    });
    await expect(interrupted).rejects.toThrow('the power went out');
    expect([await countOf('items'), await countOf('judgments')]).toEqual([500, 50]);
    const counts: number[] = [];
    const again = await importItems(database, project, [path('all.jsonl')], { onRows: (n) => counts.push(n) });
    expect(again).toEqual({ added: 100, known: 500, judgments: 10, bad: 0 });
    expect(counts).toEqual([500, 600]);
    expect(await checkItems(project.settings, [path('all.jsonl')])).toBe(600);
    expect(await importItems(database, project, [path('all.jsonl')])).toMatchObject({ added: 0, judgments: 0 });
    expect([await countOf('judgments'), await countOf('people')]).toEqual([60, 2]);
    writeRows('no-judgment.jsonl', [{ ...voted(1), judgments: [{ person: 'ada', judgment: { kind: 'wink' } }] }]);
    await expect(importItems(database, project, [path('no-judgment.jsonl')])).rejects.toThrow('line 1');
  });

  it('keeps two judgments of an item by one person, with their times, and the later one counts', async () => {
    const project = await projectOf();
    const judged = (choice: string, time: number) => ({ person: 'ada', judgment: { kind: 'pair', choice }, time });
    const row = { prompt: 'Rain', options: ['drip', 'drop'] };
    writeRows('twice.jsonl', [{ ...row, judgments: [judged('second', 2000), judged('first', 1000)] }]);
    writeRows('later.jsonl', [{ ...row, judgments: [judged('second', 3000)] }]);
    for (const name of ['twice.jsonl', 'twice.jsonl', 'later.jsonl', 'twice.jsonl', 'later.jsonl']) {
      await importItems(database, project, [path(name)]);
    }
    const judgments = await database.query
      .selectFrom('judgments')
      .select(['judgmentJson', 'created'])
      .orderBy('seq')
      .execute();
    expect(judgments.map(({ judgmentJson, created }) => [JSON.parse(judgmentJson).choice, created])).toEqual([
      ['first', 1000],
      ['second', 2000],
      ['second', 3000],
    ]);
    const answers = await database.query.selectFrom('latest').select(['judgmentJson', 'created']).execute();
    expect(answers.map(({ created }) => created)).toEqual([3000]);
  });

  it('takes completions without labels, for people to call good or bad', async () => {
    const project = await projectOf({ kind: 'binary' });
    writeRows('plain.jsonl', [
      { prompt: 'p', completion: 'c' },
      { prompt: 'q', completion: 'd', label: true },
      { prompt: [{ role: 'user', content: 'r' }], completion: [{ role: 'assistant', content: 'e' }] },
    ]);
    const { added, judgments } = await importItems(database, project, [path('plain.jsonl')], { annotator: 'ada' });
    expect([added, judgments]).toEqual([3, 1]);
    const { items } = await listItems(database, project);
    expect(items).toHaveLength(3);
  });

  it.each(['jsonl', 'tsv', 'csv', 'parquet', 'jsonl.gz'])('reads TRL’s unpaired answers from %s', async (type) => {
    const project = await projectOf({ kind: 'binary' });
    const rows: Row[] = Array.from({ length: 6 }, (_, n) => ({
      prompt: `Is ${n}\t"prime"?`,
      completion: `Say, ${n}\nor not.`,
      label: n % 2 === 0,
    }));
    const file = path(`unpaired.${type}`);
    await writeDataset(file, rows);
    const done = await importItems(database, project, [file], { annotator: 'ada' });
    expect(done).toEqual({ added: 6, known: 0, judgments: 6, bad: 0 });
    expect(await importItems(database, project, [file], { annotator: 'ada' })).toMatchObject({
      added: 0,
      judgments: 0,
    });
    const out: Row[] = [];
    for await (const { annotators, ...row } of exportRows(database, project)) {
      expect(annotators).toEqual(['ada']);
      out.push(row);
    }
    expect(out).toEqual(rows);
  });

  it('takes conversations with images and calls of tools, and no picture from elsewhere', async () => {
    const project = await projectOf();
    const href = 'data:image/png;base64,iVBORw0KGgo=';
    const prompt = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: href } }] }];
    const called = [{ role: 'assistant', tool_calls: [{ function: { name: 'look', arguments: '{}' } }] }];
    writeRows('agents.jsonl', [
      { prompt, options: [{ kind: 'image', href }, called] },
      { prompt, options: ['no', [{ role: 'assistant', content: 'yes' }]] },
    ]);
    await importItems(database, project, [path('agents.jsonl')]);
    const { items } = await listItems(database, project);
    expect(items.map(({ shows }) => shows)).toEqual(['1 image, 1 conversation', '2 texts']);
    const away = { type: 'image_url', image_url: { url: 'https://example.org/spy.png' } };
    writeRows('spy.jsonl', [{ prompt: [{ role: 'user', content: [away] }], options: ['a', 'b'] }]);
    await expect(importItems(database, project, [path('spy.jsonl')])).rejects.toThrow('line 1');
  });

  it('turns a judgment round, with its ratings, when its row has the options in the other order', async () => {
    const project = await projectOf({ kind: 'pair', aspects: ['clear', { name: 'polite', scale: 3 }] });
    const judgment = { kind: 'pair', choice: 'first', aspects: { clear: 2, polite: 3 } };
    const row = (options: string[], person: string) => ({ options, judgments: [{ id: person, person, judgment }] });
    writeRows('orders.jsonl', [row(['one', 'two'], 'ada'), row(['two', 'one'], 'ben')]);
    expect(await importItems(database, project, [path('orders.jsonl')])).toMatchObject({ added: 1, judgments: 2 });
    const stored = await database.query.selectFrom('judgments').select('judgmentJson').orderBy('seq').execute();
    expect(stored.map(({ judgmentJson }) => JSON.parse(judgmentJson))).toEqual([
      judgment,
      { kind: 'pair', choice: 'second', aspects: { clear: 4, polite: 1 } },
    ]);
  });

  it('takes clips that can be drawn, and says of others in which line and why', async () => {
    const project = await projectOf();
    const shapes: object[] = [
      { kind: 'polygon', points: [0, 0, 9, 0, 9, 9], fill: '#3d5a98' },
      { kind: 'line', points: [0, 0, 9, 9], stroke: 'rgb(1, 2, 3)', width: 2 },
      { kind: 'circle', x: 5, y: 5, radius: 2, fill: 'teal' },
      { kind: 'image', x: 0, y: 0, width: 8, height: 8, href: 'data:image/png;base64,iVBORw0KGgo=' },
    ];
    const clip = (shapes: object[], extra = {}) => ({
      kind: 'clip',
      frames: [{ width: 10, height: 10, shapes }],
      framesPerSecond: 15,
      ...extra,
    });
    const row = (second: object) => ({ options: [clip(shapes), second] });
    writeRows('clips.jsonl', [row(clip([])), row(clip(shapes.slice(1)))]);
    expect(await importItems(database, project, [path('clips.jsonl')])).toMatchObject({ added: 2 });
    for (const [wrong, message] of [
      [
        clip([{ ...shapes[0], points: [0, 0, 9] }]),
        /options\[1\]\.frames\[0\]\.shapes\[0\]\.points" expected 3 points/,
      ],
      [clip([{ ...shapes[1], points: [0, 0, 9, 9, 1] }]), /shapes\[0\]\.points" expected an even number/],
      [clip([{ ...shapes[2], radius: undefined }]), /shapes\[0\]\.radius" .*expected number/],
      [clip([{ ...shapes[3], href: 'https://example.org/x.png' }]), /shapes\[0\]\.href" expected data:image/],
      [clip([{ ...shapes[0], fill: 'url(https://example.org)' }]), /shapes\[0\]\.fill" expected a CSS color/],
      [clip([], { frames: [] }), /options\[1\]\.frames" /],
      [clip([], { framesPerSecond: 0 }), /options\[1\]\.framesPerSecond" /],
    ] as const) {
      writeRows('wrong.jsonl', [row(clip([{ kind: 'circle', x: 1, y: 1, radius: 1 }])), row(wrong)]);
      const importing = importItems(database, project, [path('wrong.jsonl')]);
      await expect(importing).rejects.toThrow(message);
      await expect(importing).rejects.toThrow('line 2');
    }
  });

  describe('ratings in a file', () => {
    const aspects = ['clear', { name: 'polite', scale: 7 }];
    const ofRatings = () => projectOf({ kind: 'rating', aspects });
    const row = (n: number, ratings: unknown) => ({ prompt: `Prompt ${n}`, completion: `Text ${n}.`, ratings });

    it('are gold, of all aspects or of some, as completions or as options', async () => {
      const project = await ofRatings();
      const options = { prompt: 'Prompt 3', options: ['Text 3.'], ratings: { clear: 5 } };
      writeRows('gold.jsonl', [row(1, { clear: 1, polite: 7 }), row(2, { polite: 2 }), options]);
      const done = await importItems(database, project, [path('gold.jsonl')], { gold: true });
      expect(done).toEqual({ added: 3, known: 0, judgments: 0, bad: 0 });
      const rows = await database.query.selectFrom('items').select('goldJson').orderBy('seq').execute();
      const known = rows.map(({ goldJson }) => JSON.parse(goldJson!).ratings);
      expect(known).toEqual([{ clear: 1, polite: 7 }, { polite: 2 }, { clear: 5 }]);
    });

    it.each([
      [{ clear: 6 }, '"ratings.clear" expected 1 to 5, got 6'],
      [{ clear: 2.5 }, '"ratings.clear" expected 1 to 5, got 2.5'],
      [{ clear: 2, polite: '7' }, '"ratings.polite" expected 1 to 7, got "7"'],
      [{ wit: 1 }, '"ratings.wit" the project has no such aspect; it has clear, polite'],
      [{}, '"ratings" expected ratings by aspect, such as {"clear": 5}, got none'],
      [4, '"ratings" expected ratings by aspect, such as {"clear": 5}, got 4'],
    ])('must be on the scale of their aspect: %j', async (ratings, message) => {
      const project = await ofRatings();
      writeRows('wrong.jsonl', [row(1, { clear: 1 }), row(2, ratings)]);
      const importing = importItems(database, project, [path('wrong.jsonl')], { gold: true });
      await expect(importing).rejects.toThrow(message);
      await expect(importing).rejects.toThrow('line 2');
      expect(await countOf('items')).toBe(0);
      const notices: string[] = [];
      const options = { gold: true, onBadRow: 'skip', onNotice: (text: string) => notices.push(text) } as const;
      expect(await importItems(database, project, [path('wrong.jsonl')], options)).toMatchObject({ added: 1, bad: 1 });
      expect(notices).toHaveLength(1);
      // judgments that nobody asked for are ignored, right or wrong
      expect(await importItems(database, project, [path('wrong.jsonl')])).toMatchObject({ added: 1, known: 1 });
    });

    it('are an annotator’s, and go out and in again', async () => {
      const project = await ofRatings();
      writeRows('rated.jsonl', [row(1, { clear: 4, polite: 7 }), row(2, { clear: 4 })]);
      const importing = importItems(database, project, [path('rated.jsonl')], { annotator: 'ada' });
      await expect(importing).rejects.toThrow('"ratings.polite" expected 1 to 7, got nothing');
      writeRows('rated.jsonl', [row(1, { clear: 4, polite: 7 }), row(2, { clear: 4, polite: 1 })]);
      const done = await importItems(database, project, [path('rated.jsonl')], { annotator: 'ada' });
      expect(done).toMatchObject({ added: 2, judgments: 2 });
      for (const type of ['jsonl', 'parquet', 'csv']) {
        await writeDataset(path(`out.${type}`), exportRows(database, project));
        const copy = await createProject(database, `copy ${type}`, { kind: 'rating', aspects, goldShare: 0 });
        const again = await importItems(database, copy, [path(`out.${type}`)], { annotator: 'ada' });
        expect(again).toMatchObject({ added: 2, judgments: 2 });
        const gold = await createProject(database, `gold ${type}`, { kind: 'rating', aspects, goldShare: 0 });
        expect(await importItems(database, gold, [path(`out.${type}`)], { gold: true })).toMatchObject({ added: 2 });
      }
    });

    it('are refused as gold from a program, too', async () => {
      const project = await ofRatings();
      const content = { options: [{ kind: 'text' as const, text: 'a' }] };
      const adding = addItems(database, project, [{ content, gold: { kind: 'rating', ratings: { clear: 6 } } }]);
      await expect(adding).rejects.toThrow('Item 1: gold.ratings.clear: expected 1 to 5, got 6.');
    });

    it('may come with completions that are labeled bad', async () => {
      const project = await ofRatings();
      writeRows('labeled.jsonl', [{ ...row(1, { clear: 1, polite: 2 }), label: false }]);
      expect(await importItems(database, project, [path('labeled.jsonl')])).toMatchObject({ added: 1 });
    });
  });

  it('writes CSV that others read', async () => {
    const project = await projectOf();
    writeRows('pairs.jsonl', [{ prompt: 'Say "a, b"', chosen: 'a,\nb', rejected: 'c' }]);
    await importItems(database, project, [path('pairs.jsonl')], { annotator: 'ada' });
    await writeDataset(path('out.csv'), exportRows(database, project));
    expect(readFileSync(path('out.csv'), 'utf8').replaceAll('\r', '')).toBe(
      'prompt,chosen,rejected,annotators\n"Say ""a, b""","a,\nb",c,"[""ada""]"\n',
    );
  });

  it('tells what was asked of, by topic, source and length', async () => {
    const project = await projectOf();
    const rows = Array.from({ length: 9 }, (_, n) => ({
      prompt: `${n}`,
      options: ['a'.repeat(n < 4 ? 100 : 101), 'b'],
      ...(n < 6 && { topic: n < 2 ? 'law' : 'art' }),
      ...(n % 2 === 0 && { source: 'web' }),
    }));
    writeRows('balance.jsonl', rows);
    await importItems(database, project, [path('balance.jsonl')]);
    const { person } = await addPerson(database, 'ada');
    for (let n = 0; n < 5; n++) {
      const [{ item }] = await assignItems(database, project, person.id);
      await recordJudgment(database, project, person.id, {
        id: `${n}`,
        item: item.id,
        judgment: { kind: 'pair', choice: 'tie' },
      });
    }
    const row = (name: string, items: number, answered: number) => ({ name, items, answered });
    const balance = await coverageOf(database, project);
    const sorted = balance.map(({ by, rows }) => ({ by, rows: rows.toSorted((a, b) => (a.name < b.name ? -1 : 1)) }));
    expect(sorted).toEqual([
      { by: 'topic', rows: [row('art', 4, 3), row('law', 2, 2), row('none', 3, 0)] },
      { by: 'source', rows: [row('none', 4, 2), row('web', 5, 3)] },
      { by: 'length', rows: [row('up to 100', 4, 4), row('up to 300', 5, 1)] },
    ]);
  });
});
