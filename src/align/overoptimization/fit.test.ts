import { describe, expect, it } from 'vitest';
import { fitScalingLaw, gainAt, type OptimizationMethod } from './curves.ts';

describe.each<[OptimizationMethod, number]>([
  ['best-of-n', 2 / (2 * 0.4)],
  ['rl', Math.exp(2 / 0.4 - 1)],
])('the law of %s', (method, peak) => {
  const law = { alpha: 2, beta: 0.4 };
  const at = (...all: number[]) => all.map((d) => ({ d, gain: gainAt(method, law, d) }));

  it('is found again from points of it, and its top', () => {
    const found = fitScalingLaw(method, at(0, 0.5, 1, 2, 4))!;
    expect(found.alpha).toBeCloseTo(2, 10);
    expect(found.beta).toBeCloseTo(0.4, 10);
    expect(found.peak).toBeCloseTo(peak, 6);
    for (const d of [0.99 * peak, 1.01 * peak]) {
      expect(gainAt(method, found, d)).toBeLessThan(gainAt(method, found, peak));
    }
  });

  it('is nothing where there are too few points', () => {
    expect(fitScalingLaw(method, at(0))).toBeUndefined();
    expect(fitScalingLaw(method, at(0, 2, 2))).toBeUndefined();
  });

  it('has no top where the gain rises ever faster', () => {
    const rising = [1, 2, 3, 4].map((d) => ({ d, gain: d * d * d }));
    expect(fitScalingLaw(method, rising)).not.toHaveProperty('peak');
  });
});
