import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { readAnyRows, readDataset } from './dataset.ts';
import { collectRows } from './rows.ts';
import { writeDataset } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-foreign-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function refusal(path: string): Promise<HeedError> {
  try {
    for await (const _ of readDataset(path, { onBadRow: 'skip' })) throw new Error('a row was read');
  } catch (error) {
    expect(error).toBeInstanceOf(HeedError);
    return error as HeedError;
  }
  throw new Error('nothing was refused');
}

it('maps of Parquet have their keys as text', async () => {
  const path = fileURLToPath(new URL('../../test/fixtures/data/maps.parquet', import.meta.url));
  expect(await collectRows(readAnyRows(path))).toEqual([
    { text: { a: 1, ü: 2 }, whole: { 1: 'x', 10: 'y' }, nested: { k: { m: 1 } } },
    { text: {}, whole: { '1234567890123456789': 'z' }, nested: {} },
    {},
  ]);
});

it('Parquet is written with an integer beyond 2⁵³ as text, as it is read', async () => {
  const [from, to] = ['numbers.jsonl', 'numbers.parquet'].map((name) => join(folder, name));
  writeFileSync(
    from,
    '{"id":1234567890123456789,"score":10.0,"tools":[{"default":10.0,"seed":1234567890123456789}]}\n',
  );
  await writeDataset(to, readAnyRows(from));
  expect(await collectRows(readAnyRows(to))).toEqual([
    { id: '1234567890123456789', score: 10, tools: [{ default: 10, seed: '1234567890123456789' }] },
  ]);
});

it.each([
  ['rows.jsonl.zst', '\x28\xb5\x2f\xfd\x04', 'compressed by Zstandard', 'zstd -d'],
  ['rows.jsonl.bz2', 'BZh91AY', 'compressed by bzip2', 'bunzip2'],
  ['rows.json.xz', '\xfd7zXZ\0\0', 'compressed by xz', 'unxz'],
  ['rows.zip', 'PK\x03\x04', 'a zip archive', 'unzip'],
  ['data-00000-of-00001.arrow', '\xff\xff\xff\xff\x10', 'an Arrow or Feather file', 'Dataset.from_file'],
  ['rows.feather', 'ARROW1\0\0', 'an Arrow or Feather file', 'to_parquet'],
  ['hidden.jsonl', '\x28\xb5\x2f\xfd\x04', 'compressed by Zstandard', 'zstd -d'],
])('%s is refused by name', async (name, bytes, kind, command) => {
  const path = join(folder, name);
  writeFileSync(path, Buffer.from(bytes, 'latin1'));
  const { message, hint } = await refusal(path);
  expect(message).toContain(`"${path}" is ${kind}, which heed does not read`);
  expect(hint).toContain(command);
});

it('so is a folder of save_to_disk', async () => {
  const saved = join(folder, 'saved');
  mkdirSync(saved);
  writeFileSync(join(saved, 'dataset_info.json'), '{}');
  writeFileSync(join(saved, 'data-00000-of-00001.arrow'), Buffer.from('\xff\xff\xff\xff', 'latin1'));
  expect((await refusal(saved)).hint).toContain("datasets.load_from_disk('FOLDER')");
});
