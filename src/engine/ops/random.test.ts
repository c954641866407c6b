import { describe, expect, it } from 'vitest';
import { dropout, gradients, input, sum, type Tensor, trace, uniform } from '../index.ts';

const SIZE = 1 << 18;

/** Draws `uniform(seed, [n])` for several seeds. */
function draw(seeds: number[], stream = 0, n = SIZE): Float32Array[] {
  const p = trace((g) => ({ y: uniform(input(g, 'seed', [], 'int32'), [n], stream) }));
  const drawn = seeds.map((seed) => p.run({ seed }).y as Float32Array);
  p[Symbol.dispose]();
  return drawn;
}
const average = (v: Float32Array) => v.reduce((a, b) => a + b, 0) / v.length;
const correlation = (a: Float32Array, b: Float32Array, shift = 0) => {
  let total = 0;
  for (let i = 0; i + shift < a.length; i++) total += (a[i] - 0.5) * (b[i + shift] - 0.5);
  return (12 * total) / (a.length - shift);
};

describe('uniform', () => {
  const FIVE_SIGMA = 5 / Math.sqrt(SIZE);
  it.each([0, 1, -1, 123456789, 2 ** 31 - 1, -(2 ** 31)])('of seed %i is spread evenly over [0, 1)', (seed) => {
    const [x] = draw([seed]);
    expect(x.every((v) => v >= 0 && v < 1)).toBe(true);
    expect(Math.abs(average(x) - 0.5)).toBeLessThan(FIVE_SIGMA / Math.sqrt(12));
    expect(Math.abs(average(x.map((v) => v * v)) - 1 / 3)).toBeLessThan(FIVE_SIGMA * Math.sqrt(4 / 45));
    const bins = new Float64Array(256);
    for (const v of x) bins[Math.floor(v * 256)]++;
    const chi = bins.reduce((total, n) => total + (n - SIZE / 256) ** 2 / (SIZE / 256), 0);
    expect(Math.abs(chi - 255)).toBeLessThan(5 * Math.sqrt(2 * 255));
    // the low bits as well
    const low = new Float64Array(256);
    for (const v of x) low[(v * 2 ** 24) & 255]++;
    const chiLow = low.reduce((total, n) => total + (n - SIZE / 256) ** 2 / (SIZE / 256), 0);
    expect(Math.abs(chiLow - 255)).toBeLessThan(5 * Math.sqrt(2 * 255));
    for (const shift of [1, 2, 3, 64, 1024]) expect(Math.abs(correlation(x, x, shift))).toBeLessThan(FIVE_SIGMA * 1.1);
  });

  it('differs by seed and by stream, without correlation', () => {
    const drawn = [...draw([0, 1, 2, -1, 1000]), ...draw([0, 1], 1), ...draw([0], 2)];
    for (const [i, a] of drawn.entries()) {
      for (const b of drawn.slice(i + 1)) {
        for (const shift of [0, 1, 2]) {
          expect(Math.abs(correlation(a, b, shift))).toBeLessThan(FIVE_SIGMA);
          expect(Math.abs(correlation(b, a, shift))).toBeLessThan(FIVE_SIGMA);
        }
      }
    }
  });

  it('gives the same numbers for the same seed, whatever the shape', () => {
    const [[a], [b]] = [draw([7], 3, 60), draw([7], 3, 1000)];
    expect(a).toEqual(b.slice(0, 60));
    const p = trace(
      (g) => {
        const x = input(g, 'x', ['n', 'm', 5]);
        return { y: uniform(input(g, 'seed', [], 'int32'), x.shape, 3), total: sum(x) };
      },
      { dims: { n: 3 } },
    );
    const y = p.run({ seed: 7, x: new Float32Array(60) }).y;
    expect(y).toEqual(a);
    p[Symbol.dispose]();
  });
});

describe('dropout', () => {
  const rate = 0.3;
  const build = (x: Tensor, seed: Tensor) => {
    const y = dropout(x, rate, seed);
    return { y, dx: gradients(sum(y), [x])[0] };
  };

  it('keeps elements with their probability and their mean, and its gradient keeps the same ones', () => {
    const p = trace((g) => build(input(g, 'x', ['n']), input(g, 'seed', [], 'int32')));
    const out = p.run({ x: new Float32Array(SIZE).fill(2), seed: 5 });
    const [y, dx] = [out.y as Float32Array, out.dx as Float32Array];
    const nonzero = Array.from(y, Number).filter((v) => v !== 0);
    expect(Math.abs(nonzero.length / SIZE - (1 - rate))).toBeLessThan(5 * Math.sqrt((rate * (1 - rate)) / SIZE));
    expect(new Set(nonzero)).toEqual(new Set([Math.fround(2 * Math.fround(1 / (1 - rate)))]));
    expect(Array.from(dx, (v) => 2 * Number(v))).toEqual(Array.from(y, Number));
    const other = p.run({ x: new Float32Array(SIZE).fill(2), seed: 6 }).y as Float32Array;
    const agree = Array.from(other).filter((v, i) => (v === 0) === (y[i] === 0)).length / SIZE;
    expect(Math.abs(agree - (rate ** 2 + (1 - rate) ** 2))).toBeLessThan(0.01);
    p[Symbol.dispose]();
  });

  it('of rate 0 is nothing', () => {
    trace((g) => {
      const x = input(g, 'x', [3]);
      expect(dropout(x, 0, input(g, 'seed', [], 'int32'))).toBe(x);
      return { y: x };
    })[Symbol.dispose]();
  });
});

it('names the tensor in errors', () => {
  trace((g) => {
    const x = input(g, 'x', [3]);
    const seed = input(g, 'seed', [], 'int32');
    const wrong: [() => Tensor, RegExp][] = [
      [() => uniform(x, [3]), /uniform: the seed must be an int32 scalar, got x float32\[3\]/],
      [() => dropout(x, 0.5, x), /seed must be an int32 scalar, got x/],
      [() => dropout(x, 1, seed), /dropout: the rate must lie in \[0, 1\), got 1/],
      [() => dropout(x, Number.NaN, seed), /rate/],
      [() => dropout(seed, 0.5, seed), /dropout: takes a float, got seed int32\[\]/],
    ];
    for (const [build, message] of wrong) {
      expect(build, `${message}`).toThrow(
        expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(message) }),
      );
    }
    return { y: x };
  })[Symbol.dispose]();
});
