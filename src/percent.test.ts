import { expect, it } from 'vitest';
import { percent } from './percent.ts';

it('rounds a share, with one digit or as many as are wanted', () => {
  expect([0.5, 0.1234, 0.9949, 1.5].map((share) => percent(share))).toEqual(['50.0 %', '12.3 %', '99.5 %', '150.0 %']);
  expect([percent(0.1234, 0), percent(0.1234, 2), percent(0.995, 0)]).toEqual(['12 %', '12.34 %', '> 99 %']);
});

it('says 0 and 100 only of nothing and of all', () => {
  expect([0, -0, 1, -1].map((share) => percent(share))).toEqual(['0.0 %', '0.0 %', '100.0 %', '−100.0 %']);
  expect([0.9997, 0.99951, 0.9994].map((share) => percent(share))).toEqual(['> 99.9 %', '> 99.9 %', '99.9 %']);
  expect([1e-12, 0.0004, 0.0005].map((share) => percent(share))).toEqual(['< 0.1 %', '< 0.1 %', '0.1 %']);
  expect([0.999, 0.004].map((share) => percent(share, 0))).toEqual(['> 99 %', '< 1 %']);
  expect(percent(1 - 1e-15)).toBe('100.0 %');
  expect(percent(0.1 + 0.2 - 0.3)).toBe('0.0 %');
});

it('writes differences below zero with a true minus sign, and hides none of them', () => {
  expect([-0.25, -0.0004, -0.9999].map((share) => percent(share))).toEqual(['−25.0 %', '> −0.1 %', '< −99.9 %']);
});

it('has a dash for what is unknown', () => {
  expect([Number.NaN, null, undefined, Infinity, -Infinity].map((share) => percent(share))).toEqual(Array(5).fill('–'));
});
