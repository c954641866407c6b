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
  // the longer completion wins in four of five cases, whichever side wrote it, and the policy writes long ones
  const draws = random(0);
  const outcomes = Array.from({ length: 2000 }, () => {
    const longer = draws.uniform() < 0.9;
    const wins = draws.uniform() < (longer ? 0.8 : 0.2);
    return outcome(Number(wins), longer ? 40 : 10, longer ? 10 : 40);
  });
  expect(winRateOf(outcomes).winRate).toBeGreaterThan(0.7);
  const { winRate, interval, fit } = lengthControlled(outcomes);
  expect(winRate).toBeCloseTo(0.5, 1);
  expect(interval[0]).toBeLessThan(0.5);
  expect(interval[1]).toBeGreaterThan(0.5);
  expect(chanceAt(fit, 30)).toBeCloseTo(0.8, 1);
});

it('is the mean where lengths carry no information', () => {
  const outcomes = [1, 1, 1, 0.5, 0, 1, 1, 0].flatMap((p) => [outcome(p, 12, 8), outcome(p, 8, 12)]);
  expect(lengthControlled(outcomes).winRate).toBeCloseTo((5.5 * 2 + 0.5) / 17, 2);
  const equal = [1, 0.5, 0, 1].map((p) => outcome(p));
  expect(lengthControlled(equal).winRate).toBeCloseTo((2.5 + 0.5) / 5, 6);
});

it('stays finite where one side always wins, or the longer completion does', () => {
  const all = lengthControlled(Array.from({ length: 50 }, (_, i) => outcome(1, 10 + i, 20)));
  expect(all.winRate).toBeGreaterThan(0.9);
  expect(all.interval[0]).toBeLessThan(0.95);
  expect(all.interval[1]).toBeGreaterThan(all.winRate);
  const longer = lengthControlled(Array.from({ length: 50 }, (_, i) => outcome(i % 2, i % 2 ? 30 : 10, 20)));
  expect(longer.winRate).toBeCloseTo(0.5, 1);
  expect(longer.fit.slope).toBeGreaterThan(1);
});

it('has intervals that hold the truth about as often as they say', () => {
  const draws = random(1);
  const truth = 1 / (1 + Math.exp(-0.8));
  const held = Array.from({ length: 200 }, () => {
    const outcomes = Array.from({ length: 60 }, () => {
      const difference = 20 * draws.normal();
      const chance = 1 / (1 + Math.exp(-0.8 - Math.tanh(difference / 20)));
      return outcome(Number(draws.uniform() < chance), 50 + difference, 50);
    });
    const [low, high] = lengthControlled(outcomes).interval;
    return Number(low < truth && truth < high);
  });
  const share = held.reduce((a, b) => a + b, 0) / held.length;
  expect(share).toBeGreaterThan(0.91);
  expect(share).toBeLessThan(0.99);
});

it('gives the mean of differences with its error', () => {
  const { difference, interval } = meanDifference([1, 2, 3, 4]);
  expect(difference).toBe(2.5);
  expect(interval[1] - difference).toBeCloseTo(1.96 * Math.sqrt(5 / 3 / 4), 3);
});
