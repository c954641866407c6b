import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../engine/safetensors.ts';
import { HeedError } from '../error.ts';
import { random } from '../random.ts';
import { normal, ones } from './initialize.ts';
import {
  createArena,
  createParameters,
  exportParameters,
  importParameters,
  loadParameters,
  type ParameterSpec,
  saveParameters,
} from './parameters.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'heed-parameters-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const specs: ParameterSpec[] = [
  { name: 'a.weight', shape: [3, 5], initialize: normal(1) },
  { name: 'a.bias', shape: [3], initialize: ones },
  { name: 'scale', shape: [], initialize: normal(1) },
];

const thrown = (act: () => unknown): HeedError => {
  try {
    act();
  } catch (error) {
    if (error instanceof HeedError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

test('tensors lie in one array, on cache lines, with zeros between', () => {
  const arena = createParameters(specs, random(0));
  expect(arena.ranges).toEqual([
    { start: 0, end: 15 },
    { start: 16, end: 19 },
    { start: 32, end: 33 },
  ]);
  expect(arena.flat.length).toBe(48);
  expect(arena.flat[15]).toBe(0);
  arena.values['a.bias'].data[2] = 7;
  expect(arena.flat[18]).toBe(7);
  expect(() => createArena([specs[0], specs[0]])).toThrow('two parameters are named "a.weight"');
});

test('initial values depend on the seed alone', () => {
  const [one, same, other] = [1, 1, 2].map((seed) => createParameters(specs, random(seed)).flat);
  expect(one).toEqual(same);
  expect(one).not.toEqual(other);
});

test('saved and loaded are the same numbers, with metadata', () => {
  const path = join(folder, 'good.safetensors');
  const saved = createParameters(specs, random(1));
  saveParameters(path, saved, { step: '12' });
  const loaded = createParameters(specs, random(2));
  expect({ ...loadParameters(path, loaded) }).toEqual({ step: '12' });
  expect(loaded.flat).toEqual(saved.flat);
  expect(readdirSync(folder)).toEqual(['good.safetensors']);
  expect(readSafetensors(path).tensors['a.weight'].shape).toEqual([3, 5]);
});

test('several arenas share a file by prefix', () => {
  const [actor, critic] = [1, 2].map((seed) => createParameters(specs, random(seed)));
  const tensors = structuredClone({ ...exportParameters(actor, 'actor.'), ...exportParameters(critic, 'critic.') });
  const loaded = createParameters(specs, random(3));
  importParameters(loaded, tensors, 'critic.');
  expect(loaded.flat).toEqual(critic.flat);
  expect(thrown(() => importParameters(loaded, tensors)).message).toBe('the checkpoint has no tensor "a.weight"');
});

const good = () =>
  structuredClone(exportParameters(createParameters(specs, random(1)))) as Parameters<typeof writeSafetensors>[1] &
    object;

test.each([
  {
    what: 'missing',
    tensors: () => Object.fromEntries(Object.entries(good()).filter(([name]) => name !== 'scale')),
    message: (source: string) => `${source} has no tensor "scale"`,
  },
  {
    what: 'of another shape',
    tensors: () => ({ ...good(), scale: { dtype: 'F32' as const, shape: [1], data: new Float32Array(1) } }),
    message: (source: string) => `tensor "scale" of ${source} is F32 [1], expected F32 []`,
  },
  {
    what: 'transposed',
    tensors: () => ({ ...good(), 'a.weight': { ...good()['a.weight'], shape: [5, 3] } }),
    message: (source: string) => `tensor "a.weight" of ${source} is F32 [5,3], expected F32 [3,5]`,
  },
  {
    what: 'of another dtype',
    tensors: () => ({ ...good(), 'a.bias': { dtype: 'F64' as const, shape: [3], data: new Float64Array(3) } }),
    message: (source: string) => `tensor "a.bias" of ${source} is F64 [3], expected F32 [3]`,
  },
])('a tensor $what is named, and no parameter changed', ({ what, tensors, message }) => {
  const path = join(folder, `${what}.safetensors`);
  writeSafetensors(path, tensors());
  const arena = createParameters(specs, random(2));
  const before = arena.flat.slice();
  expect(thrown(() => loadParameters(path, arena)).message).toBe(message(`safetensors file "${path}"`));
  const error = thrown(() => importParameters(arena, tensors()));
  expect(error.message).toBe(message('the checkpoint'));
  expect(error.hint).toMatch(/another version/);
  expect(arena.flat).toEqual(before);
});

test('a file cut short is refused, naming a tensor, and no parameter changed', () => {
  const path = join(folder, 'whole.safetensors');
  saveParameters(path, createParameters(specs, random(1)));
  const bytes = readFileSync(path);
  const arena = createParameters(specs, random(2));
  const before = arena.flat.slice();
  for (const [left, expected] of [
    [bytes.length - 1, /tensor "scale": it ends at byte 76 of the data, the file has 75/],
    [bytes.length - 70, /tensor "a.bias": it ends at byte 12 of the data, the file has 6/],
    [20, /its header ends at byte/],
    [0, /at least 8 bytes/],
  ] as const) {
    const cut = join(folder, 'cut.safetensors');
    writeFileSync(cut, bytes.subarray(0, left));
    const error = thrown(() => loadParameters(cut, arena));
    expect(error.message).toContain(cut);
    expect(error.message).toMatch(expected);
    expect(error.hint).toBeTruthy();
  }
  expect(arena.flat).toEqual(before);
  expect(thrown(() => loadParameters(join(folder, 'none'), arena)).message).toMatch(/no such file/);
});
