import { expect, it } from 'vitest';
import { expectClose } from '../../test/support/gradients.ts';
import { random } from '../random.ts';
import { createRewardScale, createStatistics, normalizeRows, scaleRewards, updateStatistics } from './normalize.ts';

const { normal } = random(0, 'normalize');
const rows = Float32Array.from({ length: 600 }, (_, i) => (i % 2 ? 100 + 3 * normal() : 0.01 * normal()));
const moments = (values: number[]) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length];
};

it('knows the mean and variance of all it has seen, in whatever parts', () => {
  for (const part of [2, 10, 600]) {
    const statistics = createStatistics(2);
    for (let i = 0; i < rows.length; i += part) updateStatistics(statistics, rows.subarray(i, i + part));
    for (const j of [0, 1]) {
      const [mean, variance] = moments([...rows].filter((_, i) => i % 2 === j));
      // the start counts for a ten-thousandth of a row
      expectClose([statistics.mean[j]], [mean], 1e-5);
      expect(Math.abs(statistics.variance[j] / (variance + (j ? 3.3e-3 : 3.3e-7)) - 1)).toBeLessThan(2e-3);
    }
  }
});

it('normalizes each number by its own statistics, and clips', () => {
  const statistics = createStatistics(2);
  statistics.mean.set([1, 2]);
  statistics.variance.set([4, 0.25]);
  const out = new Float32Array(6);
  normalizeRows(statistics, Float32Array.of(3, 2, -1, 2.5, 1000, -1000), out);
  expectClose(out, [1, 0, -1, 1, 10, -10], 1e-6);
});

it('divides rewards by the deviation of the discounted return so far, from which episodes start anew', () => {
  const input = Float32Array.of(1, 10, 2, 20, 3, 30, 4, 40); // two environments, four steps
  const done = (i: number) => i === 2; // the first environment's second step
  const rewards = input.slice();
  const scale = createRewardScale(2);
  scaleRewards(scale, rewards, done, 0.5);

  const returns = [
    [1, 10],
    [2.5, 25],
    [3, 42.5],
    [5.5, 61.25],
  ];
  const statistics = createStatistics(1);
  const expected = returns.flatMap((row, t) => {
    updateStatistics(statistics, row);
    return row.map((_, n) => input[2 * t + n] / Math.sqrt(statistics.variance[0] + 1e-8));
  });
  expectClose(rewards, expected, 1e-6);
  expect([...scale.returns]).toEqual([5.5, 61.25]);
});

it('clips scaled rewards', () => {
  const rewards = new Float32Array(200);
  rewards[199] = 1;
  scaleRewards(createRewardScale(1), rewards, () => true, 0.99);
  expect(rewards[199]).toBe(10);
});
