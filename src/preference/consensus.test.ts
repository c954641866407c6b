import { describe, expect, it } from 'vitest';
import { random } from '../random.ts';
import type { Rating } from './agreement.ts';
import { accuracyOf, dawidSkene } from './consensus.ts';

/** Items of true categories, each answered by everybody with a probability of being right of their own. */
function drawRatings(accuracies: readonly number[], items: number, categories: number, seed: number) {
  const draws = random(seed, 'answers');
  const truth = Array.from({ length: items }, () => draws.integer(categories));
  const ratings: Rating[] = truth.flatMap((right, item) =>
    accuracies.map((accuracy, annotator) => ({
      item,
      annotator,
      category: draws.uniform() < accuracy ? right : (right + 1 + draws.integer(categories - 1)) % categories,
    })),
  );
  return { truth, ratings };
}

const highest = (of: Float64Array) => of.indexOf(Math.max(...of));

describe('people of different reliability', () => {
  const accuracies = [0.95, 0.9, 0.55, 0.5, 0.45];
  const { truth, ratings } = drawRatings(accuracies, 400, 3, 1);
  const consensus = dawidSkene(ratings, { categories: 3 });

  it('finds who is reliable', () => {
    for (const [person, accuracy] of accuracies.entries()) {
      expect(Math.abs(accuracyOf(consensus, person) - accuracy)).toBeLessThan(0.06);
    }
  });

  it('is right more often than a majority', () => {
    const votes = truth.map((_, item) => {
      const counts = new Float64Array(3);
      for (const { item: of, category } of ratings) if (of === item) counts[category]++;
      return highest(counts);
    });
    const share = (categories: readonly number[]) =>
      categories.filter((category, i) => category === truth[i]).length / 400;
    const majority = share(votes);
    const ours = share(truth.map((_, item) => highest(consensus.items.get(item)!)));
    expect(ours).toBeGreaterThan(majority + 0.05);
    expect(ours).toBeGreaterThan(0.92);
  });

  it('gives probabilities that mean what they say', () => {
    const probable = [...consensus.items].map(([item, p]) => ({
      p: Math.max(...p),
      right: highest(p) === truth[item],
    }));
    const expected = probable.reduce((sum, { p }) => sum + p, 0) / probable.length;
    const right = probable.filter((one) => one.right).length / probable.length;
    expect(Math.abs(expected - right)).toBeLessThan(0.03);
  });
});

it('sees through somebody who always chooses the left, and one who chooses the wrong', () => {
  const { truth, ratings } = drawRatings([0.85, 0.85, 0.85, 0.1], 300, 2, 2);
  const leftist = truth.map((_, item) => ({ item, annotator: 9, category: 0 }));
  const consensus = dawidSkene([...ratings, ...leftist], { categories: 2 });
  expect(accuracyOf(consensus, 3)).toBeLessThan(0.2);
  const [left, right] = consensus.annotators.get(9)!;
  expect(left[0]).toBeGreaterThan(0.95);
  expect(right[0]).toBeGreaterThan(0.95);
  const found = truth.filter((category, item) => highest(consensus.items.get(item)!) === category).length;
  expect(found / 300).toBeGreaterThan(0.93);
});

it('a single answer is believed, but not for certain; many of many do not underflow', () => {
  const one = dawidSkene([{ item: 7, annotator: 0, category: 1 }], { categories: 2 });
  const [no, yes] = one.items.get(7)!;
  expect(yes).toBeGreaterThan(no);
  expect(no).toBeGreaterThan(0.05);
  const crowd = Array.from({ length: 3000 }, (_, annotator) => ({
    item: 0,
    annotator,
    category: annotator % 3 === 0 ? 1 : 0,
  }));
  const p = dawidSkene(crowd, { categories: 2 }).items.get(0)!;
  expect(p[0] + p[1]).toBeCloseTo(1, 12);
  expect(p[0]).toBeGreaterThan(0.5);
});
