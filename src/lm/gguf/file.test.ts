/** Headers of GGUF files: whole ones, damaged ones, split ones. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeedError } from '../../error.ts';
import { random } from '../../random.ts';
import { loadCheckpoint } from '../checkpoint.ts';
import { blockType } from './blocks.ts';
import { isGguf, openGguf } from './file.ts';
import { type TensorToWrite, writeGguf } from './write.ts';

const fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/gguf/blocks.json', import.meta.url), 'utf8'),
) as { invented: string; thirdFloats: string };
const invented = Buffer.from(fixture.invented, 'base64');

let root: string;
let path: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'heed-gguf-'));
  path = join(root, 'one.gguf');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Opens bytes as a file. */
function opened(bytes: Uint8Array) {
  writeFileSync(path, bytes);
  return openGguf(path);
}
const tensor = (name: string, length: number): TensorToWrite => ({
  name,
  shape: [length],
  type: blockType('F32'),
  weights: () => new Float32Array(length).fill(length),
});

describe('a file of the Python package gguf', () => {
  it('has its metadata of every type', () => {
    const { metadata } = opened(invented);
    const scalars = Object.fromEntries([...metadata].filter(([key]) => key.startsWith('one.')));
    expect(scalars).toEqual({
      'one.u8': 200,
      'one.i8': -100,
      'one.u16': 60_000,
      'one.i16': -30_000,
      'one.u32': 4_000_000_000,
      'one.i32': -2_000_000_000,
      'one.f32': Math.fround(0.1),
      'one.u64': 2 ** 40,
      'one.i64': -(2 ** 40),
      'one.f64': 0.1,
      'one.bool': true,
      'one.string': 'grüße 🙂',
    });
    expect(metadata.get('list.words')).toEqual(['a', '', 'Ġb']);
    expect([...(metadata.get('list.numbers') as Int32Array)]).toEqual([1, 2, 3]);
  });

  it('has its tensors', () => {
    const file = opened(invented);
    expect([...file.tensors].map(([name, { type, shape }]) => [name, type.name, shape])).toEqual([
      ['first', 'F32', [2, 3]],
      ['second', 'F16', [5]],
      ['third', 'Q8_0', [2, 64]],
    ]);
    const [first, second, third] = [6, 5, 128].map((length) => new Float32Array(length));
    file.read('first', first);
    file.read('second', second);
    file.read('third', third);
    expect([...first, ...second]).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4]);
    expect(Buffer.from(third.buffer).toString('base64')).toBe(fixture.thirdFloats);
  });

  it('is known by its name or its first bytes', () => {
    writeFileSync(join(root, 'nameless'), invented);
    writeFileSync(join(root, 'other'), 'text');
    expect(['nameless', 'other', '.', 'absent'].map((name) => isGguf(join(root, name)))).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('a damaged file', () => {
  const changed = (at: number, ...bytes: number[]) => {
    const copy = Buffer.from(invented);
    copy.set(bytes, at);
    return copy;
  };
  const cases: [string, Uint8Array, RegExp][] = [
    ['is empty', Buffer.alloc(0), /would end at byte 4 at least, the file has 0/],
    ['is of another format', Buffer.from('PK\x03\x04 and more than that'), /does not begin with "GGUF"/],
    ['has an older version', changed(4, 1), /version is 1, expected 2 or 3/],
    ['is big-endian', changed(4, 0, 0, 0, 3), /big-endian/],
    ['has too many tensors', changed(8, 255, 255, 255, 255), /4294967295 tensors .* the file has/],
    ['has a count beyond whole numbers', changed(8, ...Array(8).fill(255)), /too large/],
    [
      'is cut short',
      invented.subarray(0, invented.length - 200),
      /tensor "second": it ends at byte 650, the file has 632/,
    ],
    ['is cut in its header', invented.subarray(0, 300), /the file has 300/],
  ];
  it.each(cases)('that %s is refused with a sentence', (_, bytes, message) => {
    expect(() => opened(bytes)).toThrow(HeedError);
    expect(() => opened(bytes)).toThrow(message);
  });

  it('with an unknown quantization names it, and those that are read', () => {
    const at = invented.indexOf('third') + 5 + 4 + 16;
    expect(() => opened(changed(at, 16))).toThrow(/tensor "third": its data type is IQ2_XXS; supported are F32, F16/);
    expect(() => opened(changed(at, 99))).toThrow(/its data type is number 99/);
  });

  it('never crashes, and takes no memory for what it only claims to have', () => {
    const draw = random(7, 'fuzz');
    const before = process.memoryUsage();
    for (let round = 0; round < 500; round++) {
      const copy = Buffer.from(
        invented.subarray(0, draw.integer(10) === 0 ? draw.integer(invented.length) : undefined),
      );
      const changes = 1 + draw.integer(4);
      for (let i = 0; i < changes && copy.length > 0; i++) {
        const at = draw.integer(Math.min(copy.length, 900));
        const kind = draw.integer(3);
        if (kind === 0) copy[at] = draw.integer(256);
        else if (kind === 1) copy[at] ^= 1 << draw.integer(8);
        else copy.fill(255, at, Math.min(copy.length, at + 8));
      }
      try {
        const { tensors, read } = opened(copy);
        for (const [name, { shape }] of tensors) read(name, new Float32Array(shape.reduce((a, b) => a * b, 1)));
      } catch (error) {
        if (!(error instanceof HeedError)) throw error;
      }
    }
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(64e6);
  });
});

describe('a split model', () => {
  const part = (n: number, of: number) => join(root, `split-0000${n}-of-0000${of}.gguf`);

  it('is read by any of its parts, the metadata from the first', () => {
    writeGguf(part(1, 2), { 'a.key': ['u32', 5], 'split.tensors.count': ['i32', 2] }, [tensor('a', 3)]);
    writeGguf(part(2, 2), { 'split.no': ['u32', 1] }, [tensor('b', 4)]);
    for (const n of [1, 2]) {
      const file = openGguf(part(n, 2));
      expect([...file.tensors.keys()]).toEqual(['a', 'b']);
      expect(file.metadata.get('a.key')).toBe(5);
      const b = new Float32Array(4);
      file.read('b', b);
      expect([...b]).toEqual([4, 4, 4, 4]);
    }
  });

  it('needs all of its parts', () => {
    writeGguf(part(1, 3), {}, [tensor('a', 3)]);
    expect(() => openGguf(part(1, 3))).toThrow(/one of 3 parts, and ".*split-00002-of-00003.gguf" is missing/);
  });

  it('has the number of tensors that its first part says', () => {
    writeGguf(part(1, 2), { 'split.tensors.count': ['u32', 3] }, [tensor('a', 3)]);
    writeGguf(part(2, 2), {}, [tensor('b', 4)]);
    expect(() => openGguf(part(1, 2))).toThrow(/2 parts have 2 tensors, expected 3/);
  });
});

describe('a file of no model that heed reads', () => {
  it.each([
    [
      'another architecture',
      { 'general.architecture': ['text', 'mamba'] },
      /architecture is "mamba"; supported are llama/,
    ],
    ['no architecture', {}, /no "general.architecture"/],
    [
      'an adapter',
      { 'general.architecture': ['text', 'llama'], 'general.type': ['text', 'adapter'] },
      /holds an "adapter", not a model/,
    ],
    ['a vocabulary alone', { 'general.architecture': ['text', 'llama'] }, /no tensor "token_embd.weight"/],
  ] as const)('%s is refused with a sentence', (_, metadata, message) => {
    writeGguf(path, metadata, []);
    expect(() => loadCheckpoint(path)).toThrow(HeedError);
    expect(() => loadCheckpoint(path)).toThrow(message);
  });
});
