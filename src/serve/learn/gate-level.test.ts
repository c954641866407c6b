import { expect, it } from 'vitest';
import { random } from '../../random.ts';
import { errorsAbove, nextLevel } from './gate-level.ts';

it('is the level of LORD++', () => {
  const gamma = (j: number) => 6 / (Math.PI * j) ** 2;
  expect(nextLevel([], 0.1)).toBeCloseTo(0.05 * gamma(1), 12);
  expect(nextLevel([false, true], 0.1)).toBeCloseTo(0.05 * gamma(3) + 0.05 * gamma(1), 12);
  expect(nextLevel([true, false, true], 0.1)).toBeCloseTo(0.05 * gamma(4) + 0.05 * gamma(3) + 0.1 * gamma(1), 12);
});

it('lets few versions through that are no better, however many are tried', () => {
  const draws = random(0, 'levels');
  const shares = Array.from({ length: 300 }, () => {
    const passed: boolean[] = [];
    let wrong = 0;
    for (let i = 0; i < 60; i++) {
      // a third of the versions are better, and nearly sure to pass
      const isBetter = i % 3 === 0;
      const pValue = isBetter ? 1e-6 : draws.uniform();
      passed.push(pValue <= nextLevel(passed, 0.05));
      if (!isBetter && passed.at(-1)) wrong++;
    }
    return wrong / Math.max(1, passed.filter(Boolean).length);
  });
  expect(shares.reduce((sum, share) => sum + share, 0) / shares.length).toBeLessThan(0.05);
});

it('knows the quantiles of the normal distribution', () => {
  expect(errorsAbove(0.5)).toBeCloseTo(0, 6);
  expect(errorsAbove(0.025)).toBeCloseTo(1.959964, 6);
  expect(errorsAbove(1e-5)).toBeCloseTo(4.264891, 5);
});
