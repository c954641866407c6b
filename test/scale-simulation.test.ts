import { expect, it } from 'vitest';
// @ts-expect-error the benches are JavaScript
import { exponentialLength, simulate } from '../bench/scale-simulation.js';
import { random } from '../src/random.ts';

const equal = {
  ...{ engines: 2, slots: 4, tokenSeconds: () => 0.01, group: 1, batch: 8, updateSeconds: 3, syncSeconds: 1 },
  ...{ length: () => 100, steps: 20 },
};
const run = (options: object) => simulate({ ...equal, draw: random(1), ...options });

it('of equal completions, a synchronous step writes, updates and synchronizes', () => {
  // 8 completions in 8 slots: 1 s, then 3 s and 1 s
  expect(run({ staleness: 0 }).seconds).toBeCloseTo(5, 9);
  // with half of the slots, twice; with scores of 2 s by 4 workers, 4 s more
  expect(run({ staleness: 0, slots: 2 }).seconds).toBeCloseTo(6, 9);
  expect(run({ staleness: 0, rewardWorkers: 4, rewardSeconds: 2 }).seconds).toBeCloseTo(9, 9);
});

it('one step off, it is as long as its longest part', () => {
  expect(run({ staleness: 1 }).seconds).toBeCloseTo(4, 9);
  const slow = run({ staleness: 1, tokenSeconds: () => 0.1 });
  // engines also stop while weights come
  expect(slow.seconds).toBeCloseTo(11, 9);
});

it.each([0, 0.5, 1, 3])('completions are no older than the bound of %d on average', (staleness) => {
  const { maxStaleness, meanStaleness } = run({ staleness, length: exponentialLength(200, 2000), engines: 4 });
  expect(meanStaleness).toBeLessThanOrEqual(staleness);
  if (staleness === 0) expect(maxStaleness).toBe(0);
});

it('equal seeds give equal runs, others do not', () => {
  const at = (seed: number) => run({ staleness: 1, length: exponentialLength(200, 2000), draw: random(seed) });
  expect(at(1)).toEqual(at(1));
  expect(at(1).seconds).not.toBe(at(2).seconds);
});
