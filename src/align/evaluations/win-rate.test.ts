import { expect, it } from 'vitest';
import { random } from '../../random.ts';
import { chanceAt, lengthControlled, meanDifference, type Outcome, winRateOf } from './win-rate.ts';

const outcome = (preference: number, ours = 10, theirs = 10): Outcome => ({ preference, lengths: [ours, theirs] });

it('counts a tie as half a win', () => {
  const { winRate, interval } = winRateOf([1, 1, 0.5, 0].map((preference) => ({ preference })));
  expect(winRate).toBe(0.625);
  expect(interval[0]).toBeLessThan(0.3);
  expect(interval[1]).toBeLessThan(1);
});

it('takes off what length alone brings', () => {
  // the longer answer wins in four of five cases, whoever gives it, and the policy writes long ones
  const draws = random(0);
  const outcomes = Array.from({ length: 2000 }, () => {
    const longer = draws.uniform() < 0.9;
    const wins = draws.uniform() < (longer ? 0.8 : 0.2);
    return outcome(Number(wins), longer ? 40 : 10, longer ? 10 : 40);
  });
  expect(winRateOf(outcomes).winRate).toBeGreaterThan(0.7);
  const { winRate, interval, fit } = lengthControlled(outcomes, 0);
  expect(winRate).toBeCloseTo(0.5, 1);
  expect(interval[0]).toBeLessThan(0.5);
  expect(interval[1]).toBeGreaterThan(0.5);
  expect(chanceAt(fit, 30)).toBeCloseTo(0.8, 1);
  expect(lengthControlled(outcomes, 0)).toEqual({ winRate, interval, fit });
});

it('is the mean where lengths tell nothing', () => {
  const outcomes = [1, 1, 1, 0.5, 0, 1, 1, 0].flatMap((p) => [outcome(p, 12, 8), outcome(p, 8, 12)]);
  expect(lengthControlled(outcomes, 0).winRate).toBeCloseTo(winRateOf(outcomes).winRate, 3);
  const equal = [1, 0.5, 0, 1].map((p) => outcome(p));
  expect(lengthControlled(equal, 0).winRate).toBeCloseTo(0.625, 2);
});

it('stays finite where one side always wins, or the longer answer does', () => {
  const all = lengthControlled(
    Array.from({ length: 50 }, (_, i) => outcome(1, 10 + i, 20)),
    0,
  );
  expect(all.winRate).toBeGreaterThan(0.95);
  expect(all.winRate).toBeLessThanOrEqual(1);
  const longer = lengthControlled(
    Array.from({ length: 50 }, (_, i) => outcome(i % 2, i % 2 ? 30 : 10, 20)),
    0,
  );
  expect(longer.winRate).toBeCloseTo(0.5, 1);
  expect(longer.fit.slope).toBeGreaterThan(1);
});

it('gives the mean of differences with its error', () => {
  const { difference, interval } = meanDifference([1, 2, 3, 4]);
  expect(difference).toBe(2.5);
  expect(interval[1] - difference).toBeCloseTo(1.96 * Math.sqrt(5 / 3 / 4), 3);
});
