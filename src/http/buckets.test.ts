import { expect, it } from 'vitest';
import { createBuckets } from './buckets.ts';

it('takes at most so many, and fills again by its clock', () => {
  let now = 0;
  const take = createBuckets(60, () => now);
  const often = (key: string, times: number) => Array.from({ length: times }, () => take(key, 3));
  expect(often('a', 4)).toEqual([2, 1, 0, -1]);
  expect(take('b', 3)).toBe(2);
  now += 19_999;
  expect(take('a', 3)).toBe(-1);
  now += 1;
  expect(often('a', 2)).toEqual([0, -1]);
  now += 3_600_000; // never more than it holds
  expect(often('a', 4)).toEqual([2, 1, 0, -1]);
});
