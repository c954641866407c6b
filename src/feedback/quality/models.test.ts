/** Win rates and Bradley–Terry scores of models, against what they should be. */
import { describe, expect, it } from 'vitest';
import { random } from '../../random.ts';
import type { Judgment, PairChoice } from '../judgment.ts';
import type { CountedJudgment } from './judgments.ts';
import { modelScores } from './models.ts';

const judged = (item: string, sides: readonly string[], judgment: Judgment, person = 'ada'): CountedJudgment => ({
  ...{ item, person, judgment, sides, created: 0, duration: null, shown: null, guidelines: 1 },
  ...{ gold: undefined, practice: false, decidedBy: null },
});
const pair = (item: string, sides: readonly string[], choice: PairChoice, person?: string) =>
  judged(item, sides, { kind: 'pair', choice }, person);

describe('two models', () => {
  const all = Array.from({ length: 400 }, (_, n) => pair(String(n), ['new', 'old'], n % 4 === 0 ? 'second' : 'first'));
  const { models, pairs, connected } = modelScores(all)!;

  it('have the odds of their comparisons as the difference of their scores', () => {
    expect(models.map(({ name, rank, items, winRate }) => [name, rank, items, winRate])).toEqual([
      ['new', 1, 400, 0.75],
      ['old', 2, 400, 0.25],
    ]);
    // 3 to 1 is 400 log10(3) points; the prior takes less than a thousandth of it
    expect(models[0].score - models[1].score).toBeCloseTo(400 * Math.log10(3), 0);
    expect(models[0].score).toBeCloseTo(-models[1].score, 9);
    expect(pairs).toHaveLength(1);
    expect(pairs[0]).toMatchObject({ names: ['new', 'old'], items: 400, share: 0.75 });
    expect(connected).toBe(true);
  });

  it('have the standard error of a logistic regression', () => {
    const width = models[0].scoreInterval[1] - models[0].scoreInterval[0];
    // that of the difference is 1/√(n p (1 − p)), and half of it belongs to each
    const error = 0.5 / Math.sqrt(400 * 0.75 * 0.25);
    expect(width / ((2 * 1.959964 * 400 * error) / Math.LN10)).toBeCloseTo(1, 2);
  });

  it('have the same scores whichever of the options a file lists first', () => {
    const turned = all.map((one, n): CountedJudgment => {
      if (n % 2 === 0 || one.judgment.kind !== 'pair') return one;
      return pair(one.item, ['old', 'new'], one.judgment.choice === 'first' ? 'second' : 'first');
    });
    expect(modelScores(turned)!.models).toEqual(models);
  });

  it('count an item once, however many people judged it', () => {
    const more = all.flatMap((one) => ['ada', 'ben', 'chi'].map((person) => ({ ...one, person })));
    const { models: again } = modelScores(more)!;
    for (const [i, { score, scoreInterval }] of again.entries()) {
      expect(score).toBeCloseTo(models[i].score, 9);
      expect(scoreInterval[0]).toBeCloseTo(models[i].scoreInterval[0], 9);
    }
  });
});

it('a model that wins everything has a finite score with a wide interval', () => {
  const all = Array.from({ length: 20 }, (_, n) => pair(String(n), ['a', 'b'], 'first'));
  const [{ score, scoreInterval, interval }] = modelScores(all)!.models;
  expect(score).toBeGreaterThan(200);
  expect(scoreInterval[1] - scoreInterval[0]).toBeGreaterThan(400);
  expect(interval[1]).toBe(1);
});

it('ties and both bad are half a win each, and who cannot tell says nothing', () => {
  const all = (['tie', 'both-bad', 'unknown'] as const).map((choice) => pair(choice, ['a', 'b'], choice));
  expect(modelScores(all)!.models.map(({ score, winRate, items }) => [score, winRate, items])).toEqual([
    [0, 0.5, 2],
    [0, 0.5, 2],
  ]);
});

it('gold items and items without names are left out', () => {
  const gold: Judgment = { kind: 'pair', choice: 'first' };
  expect(
    modelScores([
      { ...pair('1', ['a', 'b'], 'first'), gold },
      { ...pair('2', [], 'first'), sides: undefined },
    ]),
  ).toBe(undefined);
});

it('models that nothing connects are said not to be comparable', () => {
  const all = [pair('1', ['a', 'b'], 'first'), pair('2', ['c', 'd'], 'first')];
  expect(modelScores(all)!.connected).toBe(false);
  expect(modelScores([...all, pair('3', ['b', 'c'], 'tie')])!.connected).toBe(true);
});

it('intervals of rankings hold the truth about as often as they say', () => {
  const truth = [-0.9, -0.2, 0.3, 0.8];
  const names = ['a', 'b', 'c', 'd'];
  const draw = random(7, 'rankings');
  let [inside, all] = [0, 0];
  for (let repeat = 0; repeat < 100; repeat++) {
    const judgments = Array.from({ length: 60 }, (_, n) => {
      // Plackett and Luce: Gumbel noise on scores, whose pairs follow Bradley and Terry
      const noisy = truth.map((score) => score - Math.log(-Math.log(draw.uniform())));
      const ranks = noisy.map((one) => 1 + noisy.filter((other) => other > one).length);
      return judged(String(n), names, { kind: 'ranking', ranks });
    });
    for (const { name, scoreInterval } of modelScores(judgments)!.models) {
      const right = (400 / Math.LN10) * truth[names.indexOf(name)];
      inside += Number(scoreInterval[0] <= right && right <= scoreInterval[1]);
      all++;
    }
  }
  expect(inside / all).toBeGreaterThan(0.91);
  expect(inside / all).toBeLessThanOrEqual(1);
});
