import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { learningRate, type ScheduleName, scheduleNames } from './schedule.ts';

const fixture: Record<
  string,
  { lr: number; warmup: number; total: number; values: number[]; min_lr_rate?: number; num_decay_steps?: number }
> = JSON.parse(readFileSync(new URL('../../test/fixtures/losses/misc.json', import.meta.url), 'utf8')).lr_schedules;

test.each(Object.entries(fixture))('%s, beyond its end too', (name, c) => {
  expect(c.values.length).toBeGreaterThan(c.total + 1);
  const options = {
    rate: c.lr,
    warmup: c.warmup,
    total: c.total,
    minimum: c.min_lr_rate,
    decaySteps: c.num_decay_steps,
  };
  const rates = c.values.map((_, step) => learningRate(name as ScheduleName, step, options));
  rates.forEach((rate, step) => {
    expect(Math.abs(rate - c.values[step]), `step ${step}`).toBeLessThan(1e-12);
  });
});

test('the reference covers every schedule', () => {
  expect(Object.keys(fixture).sort()).toEqual([...scheduleNames].sort());
});

test.each(scheduleNames)('%s stays finite, not negative and under its peak, whatever the steps', (name) => {
  for (const warmup of [0, 1, 5]) {
    for (const total of [0, 1, 5, 12]) {
      for (const decaySteps of [0, 3, 20]) {
        for (let step = 0; step < 20; step++) {
          const rate = learningRate(name, step, { rate: 0.1, warmup, total, decaySteps, minimum: 0.05 });
          const where = `step ${step} of ${total}, warmup ${warmup}, decay ${decaySteps}`;
          expect(rate, where).toBeGreaterThanOrEqual(0);
          expect(rate, where).toBeLessThanOrEqual(0.1);
        }
      }
    }
  }
});

test('an unknown schedule is refused by name', () => {
  expect(() => learningRate('cosinus' as ScheduleName, 0, { rate: 1, total: 1 })).toThrow('"cosinus" is no schedule');
  expect(() => learningRate('cosinus' as ScheduleName, 0, { rate: 1, total: 9, warmup: 3 })).toThrow('is no schedule');
});
