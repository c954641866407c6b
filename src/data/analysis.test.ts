import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { check } from './check.ts';
import { inspect } from './inspect.ts';
import { epochOrder, shuffled } from './order.ts';
import type { Row } from './row.ts';
import { splitDataset, splits } from './split.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-data-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function file(rows: readonly unknown[]): string {
  const path = join(folder, `${files++}.jsonl`);
  writeFileSync(path, rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''));
  return path;
}

describe('inspect', () => {
  it('counts rows, columns, lengths and duplicates', async () => {
    const path = file([
      { prompt: 'ab', completion: 'c d e' },
      { prompt: 'ab', completion: 'c d e', id: 1 },
      'bad',
      { prompt: 'AB!', completion: 'c, d: e.' },
      { prompt: 'b', completion: 'c' },
    ]);
    const count = (text: string) => text.split(' ').length;
    expect(await inspect(path, { count, samples: 1 })).toEqual({
      files: [path],
      rows: 5,
      bad: 1,
      firstBad: { file: path, line: 3, row: 3, field: '', reason: expect.stringContaining('not JSON') },
      formats: { 'prompt-completion': 4 },
      columns: { prompt: 4, completion: 4, id: 1 },
      lengths: {
        prompt: {
          characters: { mean: 2, median: 2, p95: 3, max: 3 },
          tokens: { mean: 1, median: 1, p95: 1, max: 1 },
        },
        completion: {
          characters: { mean: 19 / 4, median: 5, p95: 8, max: 8 },
          tokens: { mean: 10 / 4, median: 3, p95: 3, max: 3 },
        },
      },
      duplicates: { exact: 1, near: 1 },
      samples: [{ prompt: 'ab', completion: 'c d e' }],
    });
  });

  it('measures what was said in messages', async () => {
    const path = file([
      {
        conversations: [
          { from: 'human', value: 'ab' },
          { from: 'gpt', value: 'c' },
        ],
      },
    ]);
    expect(await inspect(path)).toMatchObject({
      formats: { sharegpt: 1 },
      columns: { conversations: 1 },
      lengths: { messages: { characters: { max: 4 } } },
    });
  });

  it('finds nothing in an empty file', async () => {
    expect(await inspect(file([]))).toMatchObject({ rows: 0, bad: 0, lengths: {}, samples: [] });
  });
});

describe('check', () => {
  it('lists bad rows, duplicates, equal answers, and who wins', async () => {
    const path = file([
      { prompt: 'a', chosen: 'long', rejected: 'no', source: 'x' },
      { prompt: 'a', chosen: 'long', rejected: 'no', source: 'y' },
      { prompt: 'A', chosen: 'Long.', rejected: 'no', source: 'x' },
      { prompt: 'b', chosen: 'c', rejected: 'long' },
      { prompt: 'b', chosen: 'c', rejected: 'c' },
      { prompt: 'b', chosen: 'c' },
      { prompt: 'b', chosen: '', rejected: 'c' },
    ]);
    const at = (line: number) => ({ file: path, line, row: line });
    expect(await check(path)).toEqual({
      files: [path],
      rows: 7,
      bad: [
        { ...at(6), field: 'rejected', reason: 'is missing' },
        { ...at(7), field: 'chosen', reason: 'is empty' },
      ],
      formats: { preference: 5 },
      duplicates: [
        { ...at(2), of: at(1), exact: true },
        { ...at(3), of: at(1), exact: false },
      ],
      balance: { label: {}, source: { x: 2, y: 1 } },
      identical: [at(5)],
      longerWins: 3 / 4,
    });
  });

  it('finds what another split has, and prompts it has too', async () => {
    const say = (question: string, answer: string) => ({
      messages: [
        { role: 'user', content: question },
        { role: 'assistant', content: answer },
      ],
    });
    const train = file([say('a?', 'b'), say('c?', 'd')]);
    const test = file([say('A', 'B!'), say('c?', 'other'), say('e?', 'f')]);
    const { leakage } = await check(test, { against: train });
    expect(leakage).toEqual({ rows: [{ file: test, line: 1, row: 1 }], prompts: 2 });
    expect((await check(train)).leakage).toBeUndefined();
  });

  it('tells signs apart that are all there is', async () => {
    expect((await check(file([{ text: '?' }, { text: '!' }, { text: '🙂' }]))).duplicates).toEqual([]);
  });

  it('counts labels, and rows by a column of choice', async () => {
    const rows = [true, false, true].map((label, i) => ({ prompt: `${i}`, completion: 'b', label, from: { n: 1 } }));
    const { balance } = await check(file(rows), { source: 'from' });
    expect(balance).toEqual({ label: { true: 2, false: 1 }, source: { '{"n":1}': 3 } });
  });
});

describe('split', () => {
  const texts = (n: number) => Array.from({ length: n }, (_, i) => ({ text: `row ${i}`, group: i % 7 }));
  async function drawn(path: string, options: Parameters<typeof splitDataset>[1]) {
    const found = await splitDataset(path, options);
    const rows: Record<string, Row[]> = {};
    for (const name of splits) {
      rows[name] = [];
      for await (const row of found.read(name)) rows[name].push(row);
    }
    return { ...found, drawn: rows };
  }

  it('meets the shares, gives every row once, and the same for the same seed', async () => {
    const path = file(texts(200));
    const first = await drawn(path, { test: 0.1, validation: 0.25, seed: 1 });
    expect(first.rows).toEqual({ train: 130, validation: 50, test: 20 });
    const all = Object.values(first.drawn).flat();
    expect(all.length).toBe(200);
    expect(new Set(all.map(({ text }) => text)).size).toBe(200);
    expect((await drawn(path, { test: 0.1, validation: 0.25, seed: 1 })).drawn).toEqual(first.drawn);
    expect((await drawn(path, { test: 0.1, validation: 0.25, seed: 2 })).drawn).not.toEqual(first.drawn);
  });

  it('never parts duplicates, and keeps rows as they stand', async () => {
    const rows = texts(60).flatMap(({ text }) => [
      { conversations: [{ from: 'gpt', value: text }] },
      { conversations: [{ from: 'gpt', value: `${text.toUpperCase()}!` }] },
    ]);
    const { drawn: found, groups } = await drawn(file(rows), { test: 0.3 });
    expect(groups).toBe(60);
    expect(found.test.length).toBe(36);
    const key = (row: Row) => JSON.stringify(row).toLowerCase().replace('!', '');
    const inTest = new Set(found.test.map(key));
    expect(found.train.filter((row) => inTest.has(key(row)))).toEqual([]);
  });

  it('keeps together what has one value of a column, and what that repeats', async () => {
    const path = file([...texts(70), { text: 'row 0', group: 'alone' }, { text: 'x' }]);
    const { drawn: found } = await drawn(path, { test: 0.3, by: 'group' });
    const groups = (rows: Row[]) => new Set(rows.map(({ group }) => group));
    expect(found.test.length).toBeGreaterThan(15);
    for (const group of groups(found.test)) expect(groups(found.train)).not.toContain(group);
    const side = (group: unknown) => (groups(found.test).has(group) ? 'test' : 'train');
    expect(side('alone')).toBe(side(0));
  });

  it('leaves bad rows out if told so', async () => {
    const path = file(['bad', ...texts(10)]);
    await expect(splitDataset(path, {})).rejects.toThrow('line 1');
    const bad: unknown[] = [];
    const found = await splitDataset(path, { test: 0.5 }, { onBadRow: 'skip', onSkip: (row) => bad.push(row) });
    for await (const _ of found.read('test'));
    expect(found.rows).toEqual({ train: 5, validation: 0, test: 5 });
    expect(bad.length).toBe(1);
  });

  it('refuses shares that leave nothing, and a column that is not there', async () => {
    await expect(splitDataset(file(texts(9)), { test: 0.6, validation: 0.4 })).rejects.toThrow('leave a share');
    await expect(splitDataset(file(texts(9)), { by: 'none' })).rejects.toThrow('no row has the column "none"');
  });
});

describe('order', () => {
  it('is a permutation, the same whenever asked for, another each epoch and seed', () => {
    const order = epochOrder(100, 7, 3);
    expect([...order].sort((a, b) => a - b)).toEqual([...Array(100).keys()]);
    expect(epochOrder(100, 7, 3)).toEqual(order);
    expect(epochOrder(100, 7, 4)).not.toEqual(order);
    expect(epochOrder(100, 8, 3)).not.toEqual(order);
    expect(epochOrder(0, 7, 3).length).toBe(0);
  });

  it('of rows leaves the list as it is', () => {
    const rows = Object.freeze(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
    expect([...shuffled(rows, 1)].sort()).toEqual(rows);
    expect(shuffled(rows, 1)).toEqual(shuffled(rows, 1));
    expect(shuffled(rows, 1)).not.toEqual(shuffled(rows, 2));
  });
});
