import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, inject, it } from 'vitest';
import { call, ownFolder } from './support/heed.ts';

const folder = ownFolder();
const data = (...args: string[]) => call(['data', ...args], folder.path);
const tokenizer = fileURLToPath(new URL('fixtures/models/tiny-llama', import.meta.url));

function file(name: string, ...rows: unknown[]): string {
  writeFileSync(
    join(folder.path, name),
    rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''),
  );
  return name;
}

const answer = (i: number) => ({ prompt: `What is ${i}?`, completion: `It is ${i}.`, label: i % 2 === 0 });

describe('heed data check', () => {
  it('names every bad row and fails', async () => {
    const path = file('bad.jsonl', answer(1), '{"prompt": NaN}', answer(2), {
      prompt: 'a',
      completion: '',
      label: true,
    });
    const { code, stdout, stderr } = await data('check', path, '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      rows: 4,
      bad: [
        { file: path, line: 2, field: '', reason: expect.stringContaining('not JSON') },
        { file: path, line: 4, field: 'completion', reason: 'is empty' },
      ],
      balance: { label: { true: 1, false: 1 } },
    });
    expect(stderr).toContain(`"${path}", line 4: "completion" is empty`);
  });

  it('finds sound data sound, and what another file has too', async () => {
    const [train, test] = [file('train.jsonl', answer(1), answer(2)), file('test.jsonl', answer(2), answer(3))];
    const { code, stdout } = await data('check', test, '--against', train);
    expect(code).toBe(0);
    expect(stdout).toMatch(/leakage +1 row, 1 prompt/);
    expect(stdout).toContain(`leaked\n  "${test}", line 1`);
  });
});

it('heed data inspect counts in tokens too', async () => {
  const path = file('text.jsonl', { text: 'Hi there' }, { text: 'Hi there' });
  const { code, stdout } = await data('inspect', path, '--tokenizer', tokenizer, '--json');
  expect(code).toBe(0);
  const { rows, lengths, duplicates } = JSON.parse(stdout);
  expect({ rows, duplicates }).toEqual({ rows: 2, duplicates: { exact: 1, near: 0 } });
  expect(lengths.text.characters.mean).toBe(8);
  expect(lengths.text.tokens.mean).toBeGreaterThan(1);
  expect(lengths.text.tokens.mean).toBeLessThan(8);
});

it('heed data split says which split got no row', async () => {
  const path = file('two.jsonl', { text: 'Hi there' }, { text: 'Good morning' });
  const { code, stdout, stderr } = await data('split', path, '--out', join(folder.path, 'two'));
  expect(code).toBe(0);
  expect(stdout).toMatch(/^2 rows in .*train\.jsonl\n$/);
  expect(stderr).toContain('No row fell to test: raise --test');
});

it('heed data convert changes the format and the file type', async () => {
  const path = file('preferences.jsonl', { chosen: 'It is good', rejected: 'It is bad' }, '[]');
  const refused = await data('convert', path, '--out', 'out.parquet');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain(`"${path}", line 2: expected an object`);
  const some = ['--to', 'unpaired-preference', '--on-bad-row', 'skip', '--json'];
  const { stdout } = await data('convert', path, '--out', 'out.parquet', ...some);
  expect(JSON.parse(stdout)).toMatchObject({ out: 'out.parquet', rows: 2, bad: [{ line: 2 }] });
  expect(await data('convert', 'out.parquet', '--out', 'out.csv')).toMatchObject({ code: 0 });
  expect(readFileSync(join(folder.path, 'out.csv'), 'utf8')).toBe(
    'prompt,completion,label\nIt is, good,true\nIt is, bad,false\n',
  );
  expect(await data('convert', path, '--out', 'x.csv', '--to', 'stepwise', '--on-bad-row', 'skip')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/cannot become stepwise\nThey can become preference/),
  });
});

it('heed data convert and split keep numbers as they are written', async () => {
  const lines = [
    '{"prompt":"a","score":10.0,"id":1234567890123456789}',
    '{"prompt":"b","score":1e3,"more":{"x":-0.0}}',
  ];
  writeFileSync(join(folder.path, 'numbers.jsonl'), `${lines.join('\n')}\n`);
  const written = (name: string) => readFileSync(join(folder.path, name), 'utf8').trim().split('\n');
  expect(await data('convert', 'numbers.jsonl', '--out', 'same.jsonl')).toMatchObject({ code: 0 });
  expect(written('same.jsonl')).toEqual(lines);
  expect(await data('convert', 'numbers.jsonl', '--out', 'n.csv')).toMatchObject({ code: 0 });
  expect(written('n.csv')[1]).toBe('a,10.0,1234567890123456789,');
  expect(await data('convert', 'numbers.jsonl', '--out', 'r.jsonl', '--rename', 'rating=score')).toMatchObject({
    code: 0,
  });
  expect(written('r.jsonl')[0]).toBe(lines[0].replace('score', 'rating'));
  expect(await data('split', 'numbers.jsonl', '--out', 'halves', '--test', '0.5')).toMatchObject({ code: 0 });
  expect([...written('halves/train.jsonl'), ...written('halves/test.jsonl')].sort()).toEqual(lines);
});

it('heed data convert gives columns the names of fields', async () => {
  const rows = [1, 2].map((i) => ({ asked: `Why ${i}?`, told: `So ${i}.`, source: 'faq' }));
  const path = file('faq.jsonl', ...rows);
  const lost = await data('convert', path, '--out', 'named.jsonl');
  expect(lost.stderr).toContain('got the fields asked, told, source');
  expect(lost.stderr).toContain(`heed data convert ${path} --rename prompt=COLUMN --out renamed.jsonl`);
  const named = ['--rename', 'prompt=asked', '--rename', 'completion=told', path];
  expect(await data('convert', '--out', 'named.jsonl', ...named)).toMatchObject({ code: 0 });
  const [first] = readFileSync(join(folder.path, 'named.jsonl'), 'utf8').split('\n');
  expect(first).toBe('{"prompt":"Why 1?","completion":"So 1.","source":"faq"}');
  const twice = await data('convert', '--out', 'x.jsonl', ...named, '--rename', 'source=told');
  expect(twice.stderr).toContain('line 1: "source" is a column already, so "told" cannot have its name');
});

it('heed data split writes files that share nothing', async () => {
  const path = file('all.jsonl', ...Array.from({ length: 50 }, (_, i) => answer(i % 40)));
  const { code, stdout } = await data('split', path, '--out', 'parts', '--test', '0.2', '--type', 'csv', '--json');
  expect(code).toBe(0);
  const { files, rows } = JSON.parse(stdout);
  expect(rows).toEqual({ train: 40, validation: 0, test: 10 });
  expect(readdirSync(join(folder.path, 'parts')).sort()).toEqual(['test.csv', 'train.csv']);
  const checked = await data('check', files.test, '--against', files.train, '--json');
  expect(JSON.parse(checked.stdout)).toMatchObject({ rows: 10, bad: [], leakage: { rows: [], prompts: 0 } });
});

it('heed data split does not write over what it splits', async () => {
  const path = file('train.jsonl', answer(1), answer(2));
  const { code, stderr } = await data('split', path, '--out', '.');
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringContaining('"train.jsonl" is one of the files to split'),
  });
});

describe('heed data, used badly', () => {
  it.each<[string, string[], ...string[]]>([
    ['no file', ['check'], "missing required argument 'file'"],
    ['no such command', ['chekc', 'a'], 'unknown command', 'Did you mean check?'],
    ['no --out', ['convert', 'a.jsonl'], '--out'],
    ['no such format', ['convert', 'a.jsonl', '--out', 'b.csv', '--to', 'kto'], 'kto', 'prompt-completion'],
    [
      'no name for a column',
      ['convert', 'a.jsonl', '--out', 'b.csv', '--rename', 'question'],
      'FIELD=COLUMN',
      'prompt=question',
    ],
    ['neither error nor skip', ['split', 'a.jsonl', '--out', 'b', '--on-bad-row', 'ignore'], 'error, skip'],
    ['a share of two', ['split', 'a.jsonl', '--out', 'b', '--test', '2'], '--test', 'below 1', 'got 2'],
    [
      'nothing left',
      ['split', 'a.jsonl', '--out', 'b', '--test', '.5', '--validation', '.5'],
      'leave a share',
      'got 0.5',
    ],
    ['a share of a sample', ['inspect', 'a.jsonl', '--samples', 'x'], '--samples', 'got "x"'],
  ])('%s', async (_, args, ...expected) => {
    const { code, stdout, stderr } = await data(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    for (const text of expected) expect(stderr).toContain(text);
  });

  it('says which file is not there', async () => {
    expect(await data('inspect', 'none.jsonl')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('none.jsonl'),
    });
  });

  it('has help with examples', async () => {
    expect((await data('--help')).stdout).toMatch(/Examples:\n +heed data inspect/);
  });
});

it('a file far larger than the memory given is read row by row', () => {
  // HEED_LARGE=1 tries 300 MB in 64 MB
  const [megabytes, heap] = process.env.HEED_LARGE ? [300, 64] : [60, 20];
  const path = join(folder.path, 'large.jsonl');
  const out = openSync(path, 'w');
  let rows = 0;
  for (let bytes = 0; bytes < megabytes * 1e6; ) {
    let part = '';
    for (let i = 0; i < 200; i++)
      part += `${JSON.stringify({ prompt: `row ${rows++} `.repeat(200), completion: 'b' })}\n`;
    bytes += writeSync(out, part);
  }
  closeSync(out);
  const script = `
    import { readDataset } from '${pathToFileURL(join(inject('compiled'), 'dist/data/index.js'))}';
    let rows = 0;
    for await (const { value } of readDataset(${JSON.stringify(path)})) rows += value.completion === 'b';
    console.log(rows);`;
  const flags = [`--max-old-space-size=${heap}`, '--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync(process.execPath, flags, { encoding: 'utf8' });
  expect({ stdout, stderr }).toEqual({ stdout: `${rows}\n`, stderr: '' });
});
