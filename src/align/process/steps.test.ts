import { expect, it } from 'vitest';
import { aggregateScore, aggregates, stepRewards, stepsIn } from './steps.ts';

it('ends a step with each separator, and the last with the text', () => {
  expect(stepsIn('a\nb\n\nc', '\n')).toEqual([
    { text: 'a', end: 2 },
    { text: 'b', end: 4 },
    { text: 'c', end: 6 },
  ]);
  expect(stepsIn(' it was . so it was .', ' .')).toEqual([
    { text: ' it was', end: 9 },
    { text: ' so it was', end: 21 },
  ]);
  expect(stepsIn(' \n', '\n')).toEqual([]);
});

it('makes a score of probabilities, and rewards of steps that add up to it', () => {
  const probabilities = [0.5, 0.8, 0.25];
  expect(aggregates.map((by) => aggregateScore(probabilities, by))).toEqual([
    0.1,
    0.25,
    expect.closeTo(0.5167, 4),
    0.25,
  ]);
  expect(aggregates.map((by) => aggregateScore([], by))).toEqual([0, 0, 0, 0]);
  const steps = probabilities.map((_, i) => ({ text: '', end: i + 1 }));
  const added = Object.fromEntries(
    aggregates.map((by) => [by, stepRewards(steps, probabilities, by).map(({ reward }) => reward)]),
  );
  for (const [by, expected] of Object.entries({
    product: [-0.5 + 1 / 3, -0.1 + 1 / 3, -0.3 + 1 / 3],
    min: [-0.5 + 1 / 3, 1 / 3, -0.25 + 1 / 3],
    mean: [0.5 / 3, 0.8 / 3, 0.25 / 3],
    last: [0.5 / 3, 0.3 + 0.5 / 3, -0.55 + 0.5 / 3],
  })) {
    for (const [i, value] of expected.entries()) expect(added[by][i]).toBeCloseTo(value, 12);
  }
  for (const by of aggregates) {
    const sum = added[by].reduce((a, b) => a + b, 0);
    expect(sum).toBeCloseTo(aggregateScore(probabilities, by), 12);
  }
});
