import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ChoiceModel, choiceLoss, choiceModelSchema, choiceProbability, segmentReturn } from './choice-model.ts';
import { choices } from './comparison.ts';

fc.configureGlobal({ seed: 1 });

const model = (settings: Partial<ChoiceModel> = {}) => choiceModelSchema.parse(settings);
const returns = fc.double({ min: -1e3, max: 1e3, noNaN: true });
const models = fc.record({
  kind: fc.constant('bradley-terry' as const),
  scale: fc.double({ min: 0.01, max: 100, noNaN: true }),
  discount: fc.constant(1),
  errorRate: fc.double({ min: 0, max: 0.9, noNaN: true }),
});

describe('choiceModelSchema', () => {
  it('defaults to plain Bradley–Terry', () => {
    expect(model()).toEqual({ kind: 'bradley-terry', scale: 1, discount: 1, errorRate: 0 });
  });

  it.each([
    { scale: 0 },
    { scale: -1 },
    { scale: Infinity },
    { discount: 0 },
    { discount: 1.1 },
    { errorRate: 1 },
    { errorRate: -0.1 },
    { kind: 'hinge', errorRate: 0.1 },
    { kind: 'thurstone' },
  ])('refuses %j', (settings) => {
    expect(choiceModelSchema.safeParse(settings).success).toBe(false);
  });
});

describe('segmentReturn', () => {
  it('is the discounted sum', () => {
    expect(segmentReturn([1, 2, 3], 1)).toBe(6);
    expect(segmentReturn([1, 2, 4], 0.5)).toBe(3);
    expect(segmentReturn(Float32Array.of(0.5, 0.25), 1)).toBe(0.75);
    expect(segmentReturn([], 0.9)).toBe(0);
    expect(segmentReturn(new Array(1000).fill(1), 0.99)).toBeCloseTo((1 - 0.99 ** 1000) / 0.01, 9);
  });
});

describe('choiceProbability', () => {
  it('has the closed forms', () => {
    expect(choiceProbability(model(), 3, 3)).toBe(0.5);
    expect(choiceProbability(model(), Math.log(3), 0)).toBeCloseTo(0.75, 12);
    expect(choiceProbability(model({ scale: 0.2 }), 0.2 * Math.log(3), 0)).toBeCloseTo(0.75, 12);
    expect(choiceProbability(model({ errorRate: 0.1 }), 1e6, 0)).toBeCloseTo(0.95, 12);
    expect(choiceProbability(model({ errorRate: 0.1 }), -1e6, 0)).toBeCloseTo(0.05, 12);
    expect(choiceProbability(model({ errorRate: 0.2 }), Math.log(3), 0)).toBeCloseTo(0.8 * 0.75 + 0.1, 12);
  });

  it('is a probability, grows with the first return, and sums to 1 with the other side', () => {
    fc.assert(
      fc.property(models, returns, returns, returns, (m, a, b, c) => {
        const p = choiceProbability(m, a, b);
        expect(p).toBeGreaterThanOrEqual(m.errorRate / 2);
        expect(p).toBeLessThanOrEqual(1 - m.errorRate / 2 + 1e-12);
        expect(p + choiceProbability(m, b, a)).toBeCloseTo(1, 12);
        expect(choiceProbability(m, Math.max(a, c), b)).toBeGreaterThanOrEqual(p);
      }),
    );
  });
});

describe('choiceLoss', () => {
  it('has the closed forms', () => {
    expect(choiceLoss(model(), 0, 0, choices.first)).toBeCloseTo(Math.LN2, 12);
    expect(choiceLoss(model(), Math.log(3), 0, choices.first)).toBeCloseTo(-Math.log(0.75), 12);
    expect(choiceLoss(model(), Math.log(3), 0, choices.second)).toBeCloseTo(Math.log(4), 12);
    expect(choiceLoss(model({ errorRate: 0.1 }), 1e6, 0, choices.second)).toBeCloseTo(-Math.log(0.05), 10);
    const hinge = model({ kind: 'hinge', scale: 2 });
    expect(choiceLoss(hinge, 1, 0, choices.first)).toBe(0.5);
    expect(choiceLoss(hinge, 1, 0, choices.second)).toBe(1.5);
    expect(choiceLoss(hinge, 5, 0, choices.first)).toBe(0);
    expect(choiceLoss(hinge, 1, 0, choices.tie)).toBe(1);
    expect(choiceLoss(hinge, 0, 2, choices.tie)).toBe(1);
    expect(choiceLoss(hinge, 8, 0, choices.tie)).toBe(2.5);
  });

  it('is the cross-entropy of the probability, whatever the choice', () => {
    fc.assert(
      fc.property(
        models,
        fc.double({ min: -5, max: 5, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (m, d, y) => {
          const p = choiceProbability(m, d * m.scale, 0);
          expect(choiceLoss(m, d * m.scale, 0, [y, 1 - y])).toBeCloseTo(
            -y * Math.log(p) - (1 - y) * Math.log(1 - p),
            8,
          );
        },
      ),
    );
  });

  it('is the same with the options swapped, and finite however far apart they are', () => {
    const any = fc.oneof(models, fc.constant(model({ kind: 'hinge' })));
    fc.assert(
      fc.property(any, returns, returns, fc.double({ min: 0, max: 1, noNaN: true }), (m, a, b, y) => {
        const loss = choiceLoss(m, a, b, [y, 1 - y]);
        expect(Number.isFinite(loss)).toBe(true);
        expect(choiceLoss(m, b, a, [1 - y, y])).toBeCloseTo(loss, 6);
      }),
    );
  });

  it('is least, for a distribution, where the probability equals it', () => {
    const at = (d: number) => choiceLoss(model(), d, 0, [0.75, 0.25]);
    expect(at(Math.log(3))).toBeLessThan(at(Math.log(3) + 0.01));
    expect(at(Math.log(3))).toBeLessThan(at(Math.log(3) - 0.01));
  });
});
