import { expect, test } from 'vitest';
import { LEARNED, sampleHeldOut } from './steps.ts';

const lengths = Array.from({ length: 400 }, (_, i) => 100 + (i % 200));
const total = lengths.reduce((a, b) => a + b, 0);
const options = { evaluations: 5, seed: 7 };
const large = { parameters: 135e6, options };

test('evaluations take no more than a tenth of the training', () => {
  const work = LEARNED * 300_000;
  const { sampled, rest, restAtEnd } = sampleHeldOut(lengths, { ...large, work });
  const tokens = sampled.reduce((sum, i) => sum + lengths[i], 0);
  expect(6 * tokens).toBeLessThanOrEqual(0.1 * work);
  expect(6 * tokens).toBeGreaterThan(0.08 * work);
  expect(restAtEnd).toBe(false);
  expect([...sampled, ...rest].sort((a, b) => a - b)).toEqual([...lengths.keys()]);
});

test('the others are measured at the end if that fits', () => {
  const work = 30 * total;
  const { sampled, restAtEnd } = sampleHeldOut(lengths, { ...large, work });
  expect(restAtEnd).toBe(true);
  const tokens = sampled.reduce((sum, i) => sum + lengths[i], 0);
  expect(6 * tokens + total).toBeLessThanOrEqual(0.1 * work);
});

test('all are measured where they fit, where the model is tiny, and where the options ask for it', () => {
  for (const { rest } of [
    sampleHeldOut(lengths, { ...large, work: 60 * total }),
    sampleHeldOut(lengths, { parameters: 4e5, options, work: 1000 }),
    sampleHeldOut(lengths, { ...large, work: 1000, options: { ...options, evaluationRows: 0 } }),
    sampleHeldOut(lengths, { ...large, work: 1000, options: { ...options, evaluationRows: 400 } }),
  ])
    expect(rest).toEqual([]);
});

test('the seed chooses the sample, and the options its size', () => {
  const of = (seed: number, evaluationRows?: number) =>
    sampleHeldOut(lengths, { ...large, work: 3e5, options: { evaluations: 5, seed, evaluationRows } }).sampled;
  expect(of(1)).toEqual(of(1));
  expect(of(1)).not.toEqual(of(2));
  expect(of(1, 50)).toHaveLength(50);
  expect(of(1, 50)).toEqual(expect.arrayContaining(of(1, 20)));
});

test('a sample has a few rows, even of the shortest training', () => {
  expect(sampleHeldOut(lengths, { ...large, work: 100 }).sampled).toHaveLength(8);
  expect(sampleHeldOut([], { ...large, work: 100 }).sampled).toEqual([]);
});
