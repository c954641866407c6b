import { expect, it } from 'vitest';
import { numbers } from '../../test/support/gradients.ts';
import { gradients, input, mul, sum, trace } from '../engine/index.ts';
import { quantize, quantizedProduct } from './quantize.ts';

const [rows, inner, out] = [5, 76, 24]; // the last block of a row is short
const weight = Float32Array.from(numbers([out, inner], { seed: 1 }).data);
const x = numbers([rows, inner]).data;
const dy = numbers([rows, out], { seed: 2 }).data;

/** The weight that the rounded numbers stand for. */
function restored(bits: 4 | 8) {
  const { data, scales } = quantize(weight, [out, inner], bits);
  const middle = 2 ** (bits - 1);
  const numberAt = (i: number) => (bits === 8 ? data[i] : (data[i >> 1] >> (4 * (i & 1))) & 15);
  const blocks = Math.ceil(inner / 32);
  return Float32Array.from(weight, (_, i) => {
    const at = Math.floor(i / inner) * blocks * 32 + (i % inner);
    return (numberAt(at) - middle) * scales[Math.floor(at / 32)];
  });
}

it.each([8, 4] as const)(
  '%i bits are as near as their steps, and the product is that of the rounded weight',
  (bits) => {
    const rounded = restored(bits);
    const step = 1 / 2 ** (bits - 1);
    for (const [i, value] of rounded.entries()) expect(Math.abs(value - weight[i])).toBeLessThanOrEqual(step * 1.01);
    const quantized = quantize(weight, [out, inner], bits);
    const program = trace((g) => {
      const xs = input(g, 'x', ['rows', inner]);
      const y = quantizedProduct(xs, quantized);
      const [dx] = gradients(sum(mul(y, input(g, 'dy', ['rows', out]))), [xs]);
      return { y, dx };
    });
    const got = program.run({ x, dy }) as Record<'y' | 'dx', Float32Array>;
    for (let r = 0; r < rows; r++) {
      for (let o = 0; o < out; o++) {
        let y = 0;
        for (let i = 0; i < inner; i++) y += x[r * inner + i] * rounded[o * inner + i];
        // what enters is rounded to bytes as well
        expect(Math.abs(got.y[r * out + o] - y)).toBeLessThan(0.08);
      }
      for (let i = 0; i < inner; i++) {
        let dx = 0;
        for (let o = 0; o < out; o++) dx += dy[r * out + o] * rounded[o * inner + i];
        expect(Math.abs(got.dx[r * inner + i] - dx)).toBeLessThan(1e-5);
      }
    }
    program[Symbol.dispose]();
  },
);

it('takes rows of zeros', () => {
  const zero = quantize(new Float32Array(32), [1, 32], 4);
  expect(zero.scales).toEqual(Float32Array.of(-0));
});
