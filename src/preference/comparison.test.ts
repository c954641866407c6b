import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { checkPreference, choices } from './comparison.ts';

fc.configureGlobal({ seed: 1 });

describe('checkPreference', () => {
  it('accepts every distribution and incomparable, and returns the value itself', () => {
    expect(checkPreference('incomparable')).toBe('incomparable');
    for (const choice of Object.values(choices)) expect(checkPreference(choice)).toBe(choice);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (p) => {
        expect(checkPreference([p, 1 - p])).toEqual([p, 1 - p]);
        expect(checkPreference(Array.from(Float32Array.of(p, 1 - p)))).toHaveLength(2);
      }),
    );
  });

  it.each([
    [[1, 1]],
    [[0, 0]],
    [[1.5, -0.5]],
    [[Number.NaN, 1]],
    [[Infinity, -Infinity]],
    [[100, 0]],
    [[1]],
    [[0.5, 0.25, 0.25]],
    [['1', 0]],
    ['skip'],
    [0],
    [null],
    [undefined],
  ])('refuses %j', (value) => {
    expect(() => checkPreference(value)).toThrow(HeedError);
  });

  it('says what it got, NaN included', () => {
    expect(() => checkPreference([Number.NaN, 1])).toThrow('got ["NaN",1]');
  });
});
