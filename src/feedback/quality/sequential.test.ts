import { describe, expect, it } from 'vitest';
import { random } from '../../random.ts';
import { evidenceOfLeaning, FALSE_ALARMS, findChange, isStrong } from './sequential.ts';

/** Every sequence of n outcomes. */
const sequences = (n: number): number[][] =>
  Array.from({ length: 2 ** n }, (_, code) => Array.from({ length: n }, (_, i) => (code >> i) & 1));

describe('evidence is never more than chance allows', () => {
  it.each([1, 3, 8])('of leaning: its mean over all sequences of %d outcomes is exactly 1', (n) => {
    const total = sequences(n).reduce((sum, one) => sum + evidenceOfLeaning(one), 0);
    expect(total / 2 ** n).toBeCloseTo(1, 12);
  });

  it.each([0.2, 0.5, 0.9])('of a change: its mean is at most 1 whatever the share, here %d', (share) => {
    const mean = sequences(9).reduce((sum, one) => {
      const ones = one.reduce((a, b) => a + b, 0);
      return sum + share ** ones * (1 - share) ** (9 - ones) * findChange(one)!.evidence;
    }, 0);
    expect(mean).toBeLessThanOrEqual(1);
    expect(mean).toBeGreaterThan(0.1);
  });

  it('says nothing false of 300 steady annotators, looked at after each of 200 judgments', () => {
    const draws = random(1, 'steady');
    let alarms = 0;
    for (let person = 0; person < 300; person++) {
      const outcomes = Array.from({ length: 200 }, () => Number(draws.uniform() < 0.8));
      const looks = Array.from({ length: 199 }, (_, t) => findChange(outcomes.slice(0, t + 2))!.evidence);
      alarms += Number(looks.some(isStrong));
    }
    expect(alarms / 300).toBeLessThanOrEqual(FALSE_ALARMS);
  });
});

it('finds a change where it is, and says from what to what', () => {
  const outcomes = [...new Array(80).fill(1), ...Array.from({ length: 80 }, (_, i) => i % 2)];
  const { evidence, before, after, at } = findChange(outcomes)!;
  expect(isStrong(evidence)).toBe(true);
  expect([before, at]).toEqual([1, 80]);
  expect(after).toBeCloseTo(0.5, 2);
  expect(isStrong(evidenceOfLeaning(new Array(20).fill(1)))).toBe(true);
  expect(isStrong(evidenceOfLeaning([1, 1, 1, 1, 1]))).toBe(false);
  expect(findChange([1])).toBeUndefined();
  expect(findChange([1, 1])!.evidence).toBeLessThan(1);
});
