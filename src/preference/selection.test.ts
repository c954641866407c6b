import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { random } from '../random.ts';
import { choiceModelSchema } from './choice-model.ts';
import {
  type Predictions,
  queryRules,
  queryScores,
  type Selection,
  selectionSchema,
  selectQueries,
} from './selection.ts';

fc.configureGlobal({ seed: 1 });

const model = choiceModelSchema.parse({});
const log3 = Math.log(3);

// Members' probabilities by pair: (3/4, 3/4), (1/4, 3/4), (1/2, 1/2), (3/4, 1/2).
const predictions: Predictions = {
  first: [Float32Array.of(log3, 0, 7, log3), Float32Array.of(log3, log3, 7, 0)],
  second: [Float32Array.of(0, log3, 7, 0), Float32Array.of(0, 0, 7, 0)],
};

const pick = (selection: Partial<Selection>, p: Predictions, count: number, seed = 0) =>
  selectQueries(selectionSchema.parse(selection), p, model, count, random(seed, 'selection'));

function randomPredictions(n: number, members: number, seed: number): Predictions {
  const draw = random(seed, 'predictions');
  const side = () => Array.from({ length: members }, () => Float32Array.from({ length: n }, () => draw.normal()));
  return { first: side(), second: side() };
}

describe('queryScores', () => {
  it('has the closed forms', () => {
    const variance = queryScores('disagreement', predictions, model);
    [0, 1 / 16, 0, 1 / 64].forEach((v, i) => {
      expect(variance[i]).toBeCloseTo(v, 6);
    });
    const entropy = queryScores('entropy', predictions, model);
    const h = (p: number) => -p * Math.log(p) - (1 - p) * Math.log(1 - p);
    [h(0.75), Math.LN2, Math.LN2, h(0.625)].forEach((v, i) => {
      expect(entropy[i]).toBeCloseTo(v, 6);
    });
    const information = queryScores('information', predictions, model);
    [0, Math.LN2 - h(0.75), 0, h(0.625) - (h(0.75) + Math.LN2) / 2].forEach((v, i) => {
      expect(information[i]).toBeCloseTo(v, 6);
    });
  });

  it('stays within its bounds and ignores which option is first', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 5 }), (seed, members) => {
        const p = randomPredictions(20, members, seed);
        for (const [rule, most] of [
          ['disagreement', 0.25],
          ['entropy', Math.LN2],
          ['information', Math.LN2],
        ] as const) {
          // biome-ignore format: a table
          const scores = queryScores(rule, p, model);
          const swapped = queryScores(rule, { first: p.second, second: p.first }, model);
          scores.forEach((score, i) => {
            expect(score).toBeGreaterThanOrEqual(0);
            expect(score).toBeLessThanOrEqual(most + 1e-12);
            expect(swapped[i]).toBeCloseTo(score, 10);
          });
        }
      }),
      { numRuns: 30 },
    );
  });

  it('is 0 entropy, not NaN, where the members are certain', () => {
    expect(queryScores('entropy', { first: [[1e6, -1e6]], second: [[0, 0]] }, model)).toEqual(Float64Array.of(0, 0));
  });
});

describe('selectQueries', () => {
  it('takes the best by its rule, best first', () => {
    expect(pick({ rule: 'disagreement' }, predictions, 2)).toEqual([1, 3]);
    expect(pick({ rule: 'entropy' }, predictions, 2).sort()).toEqual([1, 2]);
  });

  it('asks by information about what members are sure of and differ in, not about a coin to all', () => {
    // both are as unsure as can be in the mean; of the second, the choice would tell the members apart
    const p = { first: [[0, 5], [0, 0]], second: [[0, 0], [0, 5]] }; // biome-ignore format: a table
    expect(pick({ rule: 'information' }, p, 1)).toEqual([1]);
    const [coin, split] = queryScores('entropy', p, model);
    expect(coin).toBeCloseTo(split, 10);
  });

  it('returns distinct indices, as many as asked, the same each time', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...queryRules.names()),
        fc.constantFrom(...queryRules.names()),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 0, max: 40 }),
        fc.integer(),
        (rule, rest, share, count, seed) => {
          const [first, second] = [seed, seed + 1].map((s) => randomPredictions(2, 40, s).first);
          const p = { ...randomPredictions(40, 3, seed), points: { first, second, asked: [] } };
          const got = pick({ rule, rest, share }, p, count, seed);
          expect(new Set(got).size).toBe(count);
          expect(got.every((i) => Number.isInteger(i) && i >= 0 && i < 40)).toBe(true);
          expect(pick({ rule, rest, share }, p, count, seed)).toEqual(got);
        },
      ),
    );
  });

  it('mixes: a share by the rule, the rest at random from the others', () => {
    const p = randomPredictions(60, 3, 1);
    const ruled = pick({ share: 1 }, p, 5);
    const mixed = pick({ share: 0.5 }, p, 10);
    expect(mixed.slice(0, 5)).toEqual(ruled);

    const counts = new Uint32Array(60);
    const runs = 4000;
    for (let seed = 0; seed < runs; seed++) for (const i of pick({ share: 0.5 }, p, 10, seed).slice(5)) counts[i]++;
    const expected = (runs * 5) / 55;
    for (let i = 0; i < 60; i++) {
      if (ruled.includes(i)) expect(counts[i]).toBe(0);
      else expect(Math.abs(counts[i] - expected)).toBeLessThan(6 * Math.sqrt(expected));
    }
  });

  it('does not favor the first pairs where all members agree', () => {
    const flat = {
      first: [new Float32Array(50), new Float32Array(50)],
      second: [new Float32Array(50), new Float32Array(50)],
    };
    const counts = new Uint32Array(50);
    for (let seed = 0; seed < 2000; seed++) for (const i of pick({}, flat, 5, seed)) counts[i]++;
    for (const count of counts) expect(Math.abs(count - 200)).toBeLessThan(6 * Math.sqrt(200));
  });

  it('moves the generator alike whatever the rule', () => {
    const after = queryRules.names().map((rule) => {
      const draw = random(0);
      const where = [[1], [2], [3], [4]];
      const p = { ...predictions, points: { first: where, second: where, asked: [] } };
      selectQueries({ rule, share: 0.5 }, p, model, 2, draw);
      return draw.uint32();
    });
    expect(new Set(after).size).toBe(1);
  });

  it('refuses what cannot be', () => {
    expect(() => pick({}, predictions, 5)).toThrow('Cannot select 5 of 4');
    expect(() => pick({}, predictions, 1.5)).toThrow(HeedError);
    expect(() => pick({ rule: 'random' }, { first: [], second: [] }, 0)).toThrow(HeedError);
    expect(() => pick({}, { first: [[1], [1]], second: [[1]] }, 1)).toThrow('[1, 1] and [1]');
    expect(() => pick({}, { first: [[1, 2], [1]], second: [[1], [1, 2]] }, 1)).toThrow(HeedError);
    expect(() => pick({}, { first: [[1]], second: [[0]] }, 1)).toThrow('disagree with itself');
    expect(() => pick({}, { first: [[1], [Number.NaN]], second: [[0], [0]] }, 1)).toThrow('not finite');
    expect(pick({ rule: 'entropy' }, { first: [[1]], second: [[0]] }, 1)).toEqual([0]);
  });
});
