import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { checkComparison, checkPreference, choices } from './comparison.ts';

fc.configureGlobal({ seed: 1 });

const comparison = { id: 'q1', options: ['a', 'b'], choice: [1, 0], teacher: 'oracle' };

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

describe('checkComparison', () => {
  it('accepts what JSON gives back', () => {
    for (const record of [
      comparison,
      { ...comparison, time: 1_700_000_000_000 },
      { ...comparison, choice: 'incomparable', options: [{ rewards: [1] }, 0] },
    ]) {
      expect(checkComparison(JSON.parse(JSON.stringify(record)))).toEqual(record);
    }
  });

  it.each([
    ['id', ''],
    ['id', 7],
    ['options', ['a']],
    ['options', ['a', null]],
    ['options', 'ab'],
    ['teacher', ''],
    ['time', 'yesterday'],
    ['time', Number.NaN],
  ])('names the field that is wrong: %s = %j', (field, value) => {
    expect(() => checkComparison({ ...comparison, [field]: value })).toThrow(`'${field}'`);
  });

  it('refuses a choice that is none and what is no object', () => {
    expect(() => checkComparison({ ...comparison, choice: [2, -1] })).toThrow(HeedError);
    for (const value of [null, undefined, 'x', [comparison]]) expect(() => checkComparison(value)).toThrow(HeedError);
  });
});
