import { expect, it } from 'vitest';
import { random } from '../../random.ts';
import { listOf } from '../examples/examples.ts';
import { datasetRows } from './rows.ts';

const draws = random(0, 'lengths');
// each its own token, so that rows show which examples they hold
const examples = listOf(
  Array.from({ length: 10_000 }, (_, i) => ({ ids: new Int32Array(2 + draws.integer(60)).fill(i) })),
);
const options = { length: 64, packing: true, seed: 5 };
const namesOf = (row: { ids: ArrayLike<number> }[]) => row.map(({ ids }) => ids[0]);

it('gives each example once an epoch, in rows that are full', () => {
  const { rows, perEpoch } = datasetRows(examples, options);
  const taken = Array.from({ length: perEpoch }, () => rows.next());
  expect(taken.flatMap(namesOf).sort((a, b) => a - b)).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
  const tokens = examples.lengths.reduce((a, b) => a + b);
  expect(tokens / (perEpoch * 64)).toBeGreaterThan(0.98);
  // long and short ones are mixed: the first rows are like the rest
  const count = taken.slice(0, 100).flat().length;
  expect(count / 100).toBeCloseTo(10_000 / perEpoch, 0);
});

it('draws another order each epoch, and the same from the same seed', () => {
  const epochs = (seed: number) => {
    const { rows, perEpoch } = datasetRows(examples, { ...options, seed });
    return [0, 1].map(() => Array.from({ length: perEpoch }, () => namesOf(rows.next()).join()));
  };
  const [first, second] = epochs(5);
  expect(second.slice(0, 50)).not.toEqual(first.slice(0, 50));
  expect(epochs(5)).toEqual([first, second]);
  expect(epochs(6)[0]).not.toEqual(first);
});

it('resumes anywhere', () => {
  const { rows, perEpoch } = datasetRows(examples, options);
  for (let i = 0; i < perEpoch - 3; i++) rows.next();
  const place = rows.save();
  const following = Array.from({ length: 9 }, () => namesOf(rows.next()));
  const again = datasetRows(examples, options).rows;
  again.restore(place);
  expect(Array.from({ length: 9 }, () => namesOf(again.next()))).toEqual(following);
});

it('gives each example a row where nothing is packed', () => {
  const { rows, perEpoch } = datasetRows(examples, { ...options, packing: false });
  expect(perEpoch).toBe(10_000);
  expect(rows.next()).toHaveLength(1);
});
