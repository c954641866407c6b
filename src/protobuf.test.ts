import { expect, it } from 'vitest';
import { bool, bytes, double, float, int, map, message, one, repeated, signed, text, unpacked } from './protobuf.ts';

const inner = message({ name: one(1, text), sizes: repeated(2, int) });
const all = message({
  signed: one(1, signed),
  float: one(2, float),
  separate: unpacked(3, signed),
  packed: repeated(4, double),
  inner: one(5, inner),
  inners: repeated(6, inner),
  byName: map(7, bool),
  bytes: one(300, bytes),
});

it('reads what it wrote', () => {
  const value = {
    signed: -(2 ** 53 - 1),
    float: 0.5,
    separate: [1, -2, 2 ** 40],
    packed: [Number.MIN_VALUE, -Infinity],
    inner: { name: '雨', sizes: [0, 300] },
    inners: [
      { name: '', sizes: [] },
      { name: 'b', sizes: [7] },
    ],
    byName: { a: true, b: false },
    bytes: new Uint8Array([0, 255]),
  };
  expect(all.decode(all.encode(value))).toEqual(value);
  expect(all.decode(all.encode({}))).toEqual({ separate: [], packed: [], inners: [], byName: {} });
});

it('writes fields in the order of their description, those of a nested message too', () => {
  expect([...all.encode({ inner: { name: 'a' }, signed: -1 })]).toEqual([
    ...[1 << 3, ...new Array(9).fill(255), 1],
    ...[(5 << 3) | 2, 3, (1 << 3) | 2, 1, 97],
  ]);
});

it('writes repeated numbers one by one or packed, and reads either', () => {
  const [separate, packed] = [message({ values: unpacked(1, int) }), message({ values: repeated(1, int) })];
  expect([...separate.encode({ values: [3, 300] })]).toEqual([8, 3, 8, 172, 2]);
  expect([...packed.encode({ values: [3, 300] })]).toEqual([10, 3, 3, 172, 2]);
  for (const one of [separate, packed]) {
    for (const other of [separate, packed])
      expect(one.decode(other.encode({ values: [3, 300] })).values).toEqual([3, 300]);
  }
});

it('refuses damaged bytes', () => {
  expect(() => all.decode(new Uint8Array([8]))).toThrow('The message is damaged');
  expect(() => all.decode(new Uint8Array([10, 1, 0]))).toThrow('The message is damaged'); // text in place of a number
});
