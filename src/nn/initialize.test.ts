import { expect, test } from 'vitest';
import { random } from '../random.ts';
import { fill, type Initialize, normal, ones, orthogonal, xavier, zeros } from './initialize.ts';

const draw = (initialize: Initialize, shape: number[], seed = 1) => {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  initialize(data, shape, random(seed, 'test'));
  return data;
};

const moments = (data: Float32Array) => {
  const mean = data.reduce((s, x) => s + x, 0) / data.length;
  return { mean, deviation: Math.sqrt(data.reduce((s, x) => s + (x - mean) ** 2, 0) / data.length) };
};

test.each([
  { shape: [6, 6] },
  { shape: [3, 8] },
  { shape: [8, 3] },
  { shape: [1, 5] },
  { shape: [5, 1] },
  { shape: [4, 2, 3, 3] },
  { shape: [64, 4] },
])('orthogonal $shape: the shorter side is orthonormal, times the gain', ({ shape }) => {
  for (const gain of [1, Math.SQRT2, 0.01]) {
    const data = draw(orthogonal(gain), shape);
    const [rows, columns] = [shape[0], data.length / shape[0]];
    const at = (r: number, c: number) => data[r * columns + c] / gain;
    const vectors = Array.from({ length: Math.min(rows, columns) }, (_, k) =>
      Array.from({ length: Math.max(rows, columns) }, (_, i) => (rows > columns ? at(i, k) : at(k, i))),
    );
    vectors.forEach((u, i) => {
      vectors.forEach((v, j) => {
        expect(u.reduce((s, x, k) => s + x * v[k], 0)).toBeCloseTo(i === j ? 1 : 0, 5);
      });
    });
  }
});

test('orthogonal is drawn uniformly: no element has a side', () => {
  const all = Float32Array.from(
    Array.from({ length: 2000 }, (_, seed) => [...draw(orthogonal(), [3, 3], seed)]).flat(),
  );
  for (let k = 0; k < 9; k++) {
    const { mean, deviation } = moments(all.filter((_, i) => i % 9 === k));
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(deviation).toBeCloseTo(Math.sqrt(1 / 3), 1);
  }
});

test('xavier fills its bounds, which count a kernel on both sides', () => {
  for (const [shape, fans] of [
    [[200, 100], 300],
    [[32, 16, 5, 5], 48 * 25],
  ] as const) {
    const bound = 0.5 * Math.sqrt(6 / fans);
    const data = draw(xavier(0.5), [...shape]);
    const largest = data.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    expect(largest).toBeLessThanOrEqual(bound);
    expect(largest).toBeGreaterThan(0.99 * bound);
    expect(moments(data).deviation).toBeCloseTo(bound / Math.sqrt(3), 2);
  }
});

test('normal has its deviation; constants are constant', () => {
  const { mean, deviation } = moments(draw(normal(0.02), [100, 200]));
  expect(Math.abs(mean)).toBeLessThan(1e-3);
  expect(Math.abs(deviation - 0.02)).toBeLessThan(5e-4);
  expect(draw(zeros, [2, 2])).toEqual(Float32Array.of(0, 0, 0, 0));
  expect(draw(ones, [2])).toEqual(Float32Array.of(1, 1));
  expect(draw(fill(-0.5), [2])).toEqual(Float32Array.of(-0.5, -0.5));
});

test.each([orthogonal(), xavier(), normal(1)])('the same seed draws the same, another another', (initialize) => {
  expect(draw(initialize, [4, 5, 3], 1)).toEqual(draw(initialize, [4, 5, 3], 1));
  expect(draw(initialize, [4, 5, 3], 1)).not.toEqual(draw(initialize, [4, 5, 3], 2));
});
