import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { type DatasetOptions, readDataset } from './dataset.ts';
import { dataFiles } from './paths.ts';
import type { BadRow, Row } from './row.ts';
import { writeDataset } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-data-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
/** A file in a folder of its own. */
function file(name: string, content: string | Uint8Array): string {
  const own = join(folder, String(files++));
  mkdirSync(own);
  writeFileSync(join(own, name), content);
  return join(own, name);
}

async function read(paths: string | string[], options: DatasetOptions = { onBadRow: 'skip' }) {
  const rows: Row[] = [];
  const bad: Omit<BadRow, 'file'>[] = [];
  for await (const { value } of readDataset(paths, { onSkip: ({ file, ...rest }) => bad.push(rest), ...options }))
    rows.push(value);
  return { rows, bad };
}

const lines = (...rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const two = [{ text: 'a' }, { text: 'é' }];

describe('a file is read by its extension, then by its content', () => {
  it.each<[string, string, string | Uint8Array]>([
    ['JSON Lines', 'a.jsonl', lines(...two)],
    ['JSON Lines as .ndjson', 'a.NDJSON', lines(...two)],
    ['JSON Lines as .json', 'a.json', lines(...two)],
    ['a JSON list', 'a.json', JSON.stringify(two)],
    ['JSON columns', 'a.json', '{"text": ["a", "é"]}'],
    ['an indented JSON list as .txt', 'a.txt', JSON.stringify(two, null, 2)],
    ['JSON Lines without an extension', 'a', lines(...two)],
    ['CSV', 'a.csv', 'text\na\né\n'],
    ['CSV as spreadsheets write it', 'a.csv', '\ufefftext\r\na\r\né\r\n'],
    ['TSV', 'a.tsv', 'text\na\né'],
    ['gzip', 'a.jsonl.gz', gzipSync(lines(...two))],
    ['gzip without its extension', 'a.jsonl', gzipSync(lines(...two))],
    ['gzip in two members', 'a.csv.gz', Buffer.concat([gzipSync('text\na\n'), gzipSync('é\n')])],
  ])('%s', async (_, name, content) => {
    expect(await read(file(name, content))).toEqual({ rows: two, bad: [] });
  });

  it('Parquet, whatever its name', async () => {
    const path = file('a.parquet', '');
    await writeDataset(path, two);
    expect(await read(path)).toEqual({ rows: two, bad: [] });
    expect(await read(file('a.data', readFileSync(path)))).toEqual({ rows: two, bad: [] });
  });
});

describe('what is wrong is told with its place', () => {
  it('in a row', async () => {
    const path = file('a.jsonl', `${lines({ prompt: 'a', completion: 'b' }, { prompt: 'a' })}\n{"prompt"\n`);
    const bad = [
      { line: 2, row: 2, field: 'completion', reason: 'is missing' },
      { line: 4, row: 3, field: '', reason: expect.stringContaining('not JSON') },
    ];
    expect(await read(path)).toEqual({ rows: [{ prompt: 'a', completion: 'b' }], bad });
    await expect(read(path, {})).rejects.toMatchObject({
      name: 'HeedError',
      message: `"${path}", line 2: "completion" is missing`,
      hint: expect.stringContaining('--on-bad-row skip'),
    });
  });

  it('in the first row, which lacks what the others have', async () => {
    const path = file(
      'a.jsonl',
      lines({ prompt: 'a' }, { prompt: 'a', completion: 'b' }, { prompt: 'c', completion: 'd' }),
    );
    expect((await read(path)).bad).toEqual([{ line: 1, row: 1, field: 'completion', reason: 'is missing' }]);
  });

  it('in a row of a list on one line', async () => {
    const { bad } = await read(file('a.json', '[{"text":"a"},{"text":""}]'));
    expect(bad).toEqual([{ line: 1, row: 2, field: 'text', reason: 'is empty' }]);
  });

  it('in a row that is nested too deeply', async () => {
    const nested = (levels: number) => `{"text": "a", "x": ${'['.repeat(levels)}${']'.repeat(levels)}}`;
    const { rows, bad } = await read(file('a.jsonl', `${nested(99)}\n${nested(100_000)}\n`));
    expect(rows.length).toBe(1);
    expect(bad).toEqual([{ line: 2, row: 2, field: '', reason: 'is nested more than 100 deep' }]);
  });

  it('in a row of another format than the caller takes', async () => {
    const path = file('a.jsonl', lines({ prompt: 'a' }));
    const { bad } = await read(path, { onBadRow: 'skip', accept: ['language-modeling', 'prompt-completion'] });
    expect(bad[0].reason).toBe(
      'has an unknown format: expected language-modeling or prompt-completion, got prompt-only (the fields prompt); language-modeling has text; prompt-completion has prompt, completion',
    );
    expect((await read(file('b.csv', 'q,a\n1,2\n'))).bad[0].reason).toMatch(/got the fields q, a/);
  });

  it.each<[string, string, string | Uint8Array, number, RegExp]>([
    ['cut gzip', 'a.jsonl.gz', gzipSync(lines(...two)).subarray(0, 20), 1, /not valid gzip/],
    ['text called gzip', 'a.jsonl.gz', lines(...two), 1, /not gzip/],
    ['UTF-16', 'a.csv', Buffer.from('\ufefftext\na\n', 'utf16le'), 1, /UTF-16/],
    ['text called Parquet', 'a.parquet', 'text', 1, /not valid Parquet/],
    ['an empty Parquet', 'a.parquet', '', 1, /not valid Parquet/],
    ['a cut list', 'a.json', '[{"text":"a"},\n{"te', 2, /ends inside the list/],
  ])('in a file that is %s', async (_, name, content, line, reason) => {
    const { bad } = await read(file(name, content));
    expect(bad).toEqual([{ line, row: line, field: '', reason: expect.stringMatching(reason) }]);
  });

  it('wherever a Parquet file is damaged', async () => {
    const path = file('a.parquet', '');
    await writeDataset(
      path,
      Array.from({ length: 1500 }, (_, i) => ({ text: `row ${i}`, n: i })),
    );
    const whole = readFileSync(path);
    for (let at = 5; at < whole.length; at += 211) {
      const damaged = Buffer.from(whole);
      damaged[at] ^= 0xff;
      await read(file('a.parquet', damaged)); // rows or a fault, never another error
      await read(file('b.parquet', whole.subarray(0, at)));
    }
  });

  it('where the levels of a Parquet page are longer than it', async () => {
    const damaged = new URL('../../test/fixtures/corpus/parquet/levels-too-long.parquet', import.meta.url);
    const { rows, bad } = await read(file('a.parquet', readFileSync(damaged)));
    expect(rows).toEqual([]);
    expect(bad).toMatchObject([{ line: 1, reason: expect.stringMatching(/not valid Parquet: the levels/) }]);
  });

  it('wherever the columns of a Parquet file are said to lie', async () => {
    const path = file('a.parquet', '');
    await writeDataset(path, [
      { text: 'a', label: true, n: 1 },
      { text: 'b', label: false, n: 2 },
    ]);
    const whole = readFileSync(path);
    const footer = whole.length - 8 - whole.readUInt32LE(whole.length - 8);
    for (let at = footer; at < whole.length - 8; at++) {
      for (const value of [0, 0x7f, 0xff]) {
        const damaged = Buffer.from(whole);
        damaged[at] = value;
        await read(file('a.parquet', damaged)); // ranges read ahead fail too, which nobody awaits
      }
    }
  });

  it('of a Parquet row whose text is not UTF-8', async () => {
    const path = file('a.parquet', '');
    await writeDataset(path, [{ text: 'aXb' }, { text: 'cd' }]);
    const bytes = readFileSync(path);
    bytes[bytes.indexOf('aXb') + 1] = 0xff;
    writeFileSync(path, bytes);
    expect(await read(path)).toEqual({
      rows: [{ text: 'cd' }],
      bad: [{ line: 1, row: 1, field: 'text', reason: 'expected text, got bytes that are not UTF-8' }],
    });
  });

  it('of a file that is not there', async () => {
    await expect(read(join(folder, 'none.jsonl'))).rejects.toThrow(/none.jsonl.*no such file/);
  });
});

describe('a dataset is', () => {
  const tree = join(folder, 'tree');
  for (const name of ['b/2.jsonl', 'b/1.csv.gz', 'a.parquet', 'dataset_info.json', 'README.md', '.cache/x.jsonl']) {
    mkdirSync(join(tree, name, '..'), { recursive: true });
    writeFileSync(join(tree, name), '');
  }
  const names = (paths: string | string[]) => dataFiles(paths).map((path) => basename(path));

  it.each<[string, string | string[], string[]]>([
    ['a folder', tree, ['a.parquet', '1.csv.gz', '2.jsonl']],
    ['files, each once', [join(tree, 'b/2.jsonl'), `${tree}/b/../b/2.jsonl`], ['2.jsonl']],
    ['a pattern', join(tree, 'b/*.jsonl'), ['2.jsonl']],
    ['a pattern at any depth', join(tree, '**/*.{parquet,jsonl}'), ['a.parquet', '2.jsonl']],
    ['a pattern that goes about', `${join(tree, '..')}/./tree/b/*.gz`, ['1.csv.gz']],
    ['a pattern of a letter', join(tree, 'b/?.csv.gz'), ['1.csv.gz']],
  ])('%s', (_, paths, expected) => {
    expect(names(paths)).toEqual(expected);
  });

  it('not nothing', () => {
    expect(() => dataFiles(join(tree, '*.tsv'))).toThrow('contains no data');
    expect(() => dataFiles(join(tree, 'b/{1,*'))).toThrow('contains no data');
    expect(() => dataFiles(join(tree, '.cache', '..', 'b', '*.none'))).toThrow('contains no data');
  });

  it('of files that may have formats of their own', async () => {
    const paths = [file('a.jsonl', lines({ text: 'a' })), file('b.jsonl', lines({ prompt: 'a', completion: 'b' }))];
    expect((await read(paths)).rows).toEqual([{ text: 'a' }, { prompt: 'a', completion: 'b' }]);
  });
});

describe('what is written is read again', () => {
  const rows: Row[] = [
    {
      messages: [
        { role: 'user', content: 'Hi,\n"you" 🙂' },
        { role: 'assistant', content: 'Yes', name: 'x' },
      ],
      source: '',
    },
    { messages: [{ role: 'user', content: '' }], source: 'b\tc\r\n' },
  ];

  it.each(['a.jsonl', 'a.jsonl.gz', 'a.json', 'a.json.gz', 'a.csv', 'a.tsv', 'a.csv.gz', 'a.parquet'])(
    '%s',
    async (name) => {
      const path = file(name, 'old');
      expect(await writeDataset(path, rows)).toBe(2);
      expect(await read(path)).toEqual({ rows, bad: [] });
      if (name.endsWith('.gz')) expect(gunzipSync(readFileSync(path)).length).toBeGreaterThan(0);
      expect(readdirSync(join(path, '..'))).toEqual([name]);
    },
  );

  it('in several row groups, with labels, numbers and what is of many kinds', async () => {
    const many = Array.from({ length: 2500 }, (_, i) => ({
      prompt: `p${i}`,
      completions: ['a', 'b'],
      labels: [true, i % 2 === 0],
      score: i / 3,
      extra: i % 2 ? 'text' : { some: [i] },
      ...(i % 3 === 0 && { source: 'third' }),
    }));
    for (const name of ['a.parquet', 'a.jsonl']) {
      const path = file(name, '');
      await writeDataset(path, many);
      expect((await read(path)).rows).toEqual(many);
    }
  });

  it.each(['a.json', 'a.jsonl', 'a.parquet', 'a.csv.gz'])('as nothing: %s', async (name) => {
    const path = file(name, 'old');
    expect(await writeDataset(path, [])).toBe(0);
    expect(await read(path)).toEqual({ rows: [], bad: [] });
  });

  it('or leaves the old file', async () => {
    const path = file('a.csv', 'old');
    async function* failing() {
      yield { text: 'a' };
      throw new Error('no more');
    }
    await expect(writeDataset(path, failing())).rejects.toThrow('no more');
    const wide = Array.from({ length: 1001 }, (_, i) => (i < 1000 ? { text: 'a' } : { text: 'a', new: 1 }));
    await expect(writeDataset(path, wide)).rejects.toThrow('row 1001 has a column "new"');
    await expect(writeDataset(path.replace('.csv', '.xls'), [])).rejects.toThrow('expected .jsonl');
    const unlike = Array.from({ length: 1001 }, (_, i) => ({ text: i < 1000 ? 'a' : 7 }));
    await expect(writeDataset(path.replace('.csv', '.parquet'), unlike)).rejects.toThrow('"text" does not fit');
    expect(readdirSync(join(path, '..'))).toEqual(['a.csv']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it.runIf(process.getuid?.() !== 0)('or says why not (needs a user other than root)', async () => {
    const path = file('a.csv', 'old');
    chmodSync(join(path, '..'), 0o500);
    await expect(writeDataset(path, two)).rejects.toThrow('permission denied');
  });
});
