import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { type LabelSchedule, labelSchedule, scheduleSchema } from './schedule.ts';

fc.configureGlobal({ seed: 1 });

const plan = (settings: Partial<LabelSchedule>, labels: number, steps = 60_000, randomSteps = 2000) =>
  labelSchedule(scheduleSchema.parse(settings), { labels, steps, randomSteps });

describe('labelSchedule', () => {
  it('front-loads as the CartPole recipe does', () => {
    expect(plan({}, 40)).toEqual([
      { atStep: 2000, labels: 10 },
      { atStep: 4750, labels: 4 },
      { atStep: 7500, labels: 4 },
      { atStep: 10250, labels: 3 },
      { atStep: 13000, labels: 4 },
      { atStep: 15750, labels: 4 },
      { atStep: 18500, labels: 4 },
      { atStep: 21250, labels: 3 },
      { atStep: 24000, labels: 4 },
    ]);
  });

  it('anneals by the integral of T / (t + T)', () => {
    const rounds = plan({ kind: 'annealed', rounds: 4, until: 0.8, halving: 0.1 }, 100_000, 1_000_000, 0);
    const logs = [0, 200_000, 400_000, 600_000, 800_000].map((t) => Math.log((t + 100_000) / 100_000));
    expect(rounds[0]).toEqual({ atStep: 0, labels: 25_000 });
    for (let i = 1; i <= 4; i++) {
      expect(Math.abs(rounds[i].labels - (75_000 * (logs[i] - logs[i - 1])) / logs[4])).toBeLessThanOrEqual(1);
      if (i > 1) expect(rounds[i].labels).toBeLessThan(rounds[i - 1].labels);
    }
  });

  it('keeps constant', () => {
    const rounds = plan({ kind: 'constant', rounds: 4 }, 50);
    expect(rounds.map((round) => round.labels)).toEqual([10, 10, 10, 10, 10]);
    expect(rounds[0].atStep).toBe(2000);
    expect(rounds[4].atStep).toBe(24_000);
  });

  it('spends the budget exactly, at strictly increasing steps, in rounds that ask for something', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('front-loaded', 'annealed', 'constant'),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0.1, max: 0.99, noNaN: true }),
        fc.double({ min: 0.01, max: 10, noNaN: true }),
        fc.integer({ min: 0, max: 3000 }),
        fc.integer({ min: 1000, max: 1_000_000 }),
        (kind, firstShare, rounds, until, halving, labels, steps) => {
          const schedule = { kind: kind as LabelSchedule['kind'], firstShare, rounds, until, halving };
          const got = plan(schedule, labels, steps, Math.floor(steps / 50));
          expect(got.reduce((sum, round) => sum + round.labels, 0)).toBe(labels);
          expect(got.length).toBeLessThanOrEqual(rounds + 1);
          got.forEach((round, i) => {
            expect(Number.isInteger(round.labels) && round.labels > 0).toBe(true);
            expect(Number.isInteger(round.atStep) && round.atStep < steps).toBe(true);
            if (i > 0) expect(round.atStep).toBeGreaterThan(got[i - 1].atStep);
          });
          if (labels > 0 && kind !== 'constant') expect(got[0].atStep).toBe(Math.floor(steps / 50));
        },
      ),
    );
  });

  it('asks nothing without labels, and once where the first share is all', () => {
    expect(plan({}, 0)).toEqual([]);
    expect(plan({ firstShare: 1 }, 30)).toEqual([{ atStep: 2000, labels: 30 }]);
    expect(plan({}, 1)).toEqual([{ atStep: 2000, labels: 1 }]);
  });

  it('refuses what does not fit', () => {
    expect(() => plan({}, 40, 5000, 2000)).toThrow('do not fit');
    expect(() => plan({}, 40, 5000, 1995)).toThrow(HeedError);
    expect(plan({}, 40, 5000, 1992)).toHaveLength(9);
    for (const wrong of [-1, 1.5, Number.NaN, Infinity]) {
      expect(() => plan({}, wrong)).toThrow("'labels'");
      expect(() => plan({}, 1, wrong)).toThrow("'steps'");
      expect(() => plan({}, 1, 60_000, wrong)).toThrow("'randomSteps'");
    }
    for (const settings of [{ firstShare: 0 }, { rounds: 0 }, { until: 1 }, { halving: 0 }]) {
      expect(scheduleSchema.safeParse(settings).success).toBe(false);
    }
  });
});
