/** Dequantized and quantized weights against the Python package `gguf`; see test/fixtures/gguf. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BLOCK_TYPES, blockType, GGUF_DTYPES } from './blocks.ts';

const fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/gguf/blocks.json', import.meta.url), 'utf8'),
) as {
  blocks: Record<string, { bytes: string; floats: string }>;
  quantized: Record<string, string>;
};
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));
const floatsOf = (text: string) => new Float32Array(bytesOf(text).buffer);
const bits = (floats: Float32Array) => new Uint32Array(floats.buffer, floats.byteOffset, floats.length);

describe.each(BLOCK_TYPES.map((type) => [type.name, type] as const))('%s', (name, type) => {
  const { bytes, floats } = fixture.blocks[name];

  it('dequantizes to the last bit', () => {
    const expected = floatsOf(floats);
    const from = bytesOf(bytes);
    expect(expected.length).toBe((from.length / type.bytes) * type.weights);
    const to = new Float32Array(expected.length);
    type.dequantize(from, to);
    expect(bits(to)).toEqual(bits(expected));
  });

  it('reads bytes at any address', () => {
    const from = bytesOf(bytes);
    const moved = new Uint8Array(from.length + 1).subarray(1);
    moved.set(from);
    const [a, b] = [0, 1].map(() => new Float32Array((from.length / type.bytes) * type.weights));
    type.dequantize(from, a);
    type.dequantize(moved, b);
    expect(bits(b)).toEqual(bits(a));
  });
});

it.each(GGUF_DTYPES.filter((name) => name !== 'F32'))('quantizes to %s as gguf does', (name) => {
  const from = floatsOf(fixture.quantized.floats);
  const expected = bytesOf(fixture.quantized[name]);
  const to = new Uint8Array(expected.length);
  blockType(name).quantize!(from, to);
  expect(Buffer.compare(to, expected)).toBe(0);
});
