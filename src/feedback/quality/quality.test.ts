import { expect, it } from 'vitest';
import { cohenKappa } from '../../preference/index.ts';
import { random } from '../../random.ts';
import type { CountedJudgment } from './judgments.ts';
import { qualityOf } from './quality.ts';

const draws = random(3, 'people');
const ITEMS = 120;
const truth = Array.from({ length: ITEMS }, () => (draws.uniform() < 0.5 ? 'first' : 'second') as 'first' | 'second');
const other = { first: 'second', second: 'first' } as const;

/** Judgments of an annotator who is right with a probability per item, or chooses the left with probability `leans`. */
function judgmentsOf(person: string, right: (item: number) => number, leans = 0): CountedJudgment[] {
  return truth.map((answer, item) => {
    const shown = draws.uniform() < 0.5 ? [0, 1] : [1, 0];
    const left = shown[0] === 0 ? 'first' : 'second';
    const choice = draws.uniform() < leans ? left : draws.uniform() < right(item) ? answer : other[answer];
    return {
      item: `item ${item}`,
      person,
      judgment: { kind: 'pair', choice },
      created: item,
      duration: 2000 + item,
      shown,
      guidelines: item < 60 ? 1 : 2,
      gold: item % 4 === 0 ? { kind: 'pair', choice: answer } : undefined,
      practice: false,
      decidedBy: null,
    };
  });
}

const judgments = [
  ...judgmentsOf('careful', () => 0.95),
  ...judgmentsOf('good', () => 0.9),
  ...judgmentsOf('tired', (item) => (item < 60 ? 0.97 : 0.55)),
  ...judgmentsOf('leaning', () => 0.9, 0.7),
];
const quality = qualityOf(judgments, { gold: true, pay: 30 });
const of = (name: string) => quality.people.find(({ person }) => person === name)!;

it('tells the reliable from the others, with and without known answers', () => {
  expect(of('careful').gold.n).toBe(30);
  expect(of('careful').gold.right).toBeGreaterThan(0.85);
  expect(of('careful').reliability).toBeGreaterThan(of('leaning').reliability + 0.15);
  expect(of('good').agreement.share).toBeGreaterThan(of('leaning').agreement.share);
});

it('sees who leans to a side, and who tires', () => {
  expect(of('leaning').left.z).toBeGreaterThan(5);
  expect(Math.abs(of('careful').left.z)).toBeLessThan(3);
  expect(of('tired').fatigue).toBeGreaterThan(0.2);
  expect(Math.abs(of('careful').fatigue)).toBeLessThan(0.15);
  expect(of('careful').seconds).toBeCloseTo(2.0595, 4);
});

it('finds what is probably true, and where people disagree, the least clear first', () => {
  const right = truth.filter(
    (answer, i) => quality.consensus.get(`item ${i}`)!.answer === (answer === 'first' ? 0 : 1),
  );
  expect(right.length / ITEMS).toBeGreaterThan(0.93);
  const { disagreements } = quality;
  expect(disagreements.length).toBeGreaterThan(20);
  expect(disagreements[0].likely[0].probability).toBeLessThan(disagreements.at(-1)!.likely[0].probability);
  expect(quality.alpha.alpha).toBeGreaterThan(0.3);
  expect(quality.alpha.interval[0]).toBeLessThan(quality.alpha.alpha);
  expect(Math.abs(quality.alpha.alpha - quality.fleiss)).toBeLessThan(0.02);
  expect(quality.guidelines).toEqual([
    { version: 1, answers: 240 },
    { version: 2, answers: 240 },
  ]);
});

it('tells the mean of Cohen’s κ of every two people who have enough in common', () => {
  const judged = (name: string) =>
    judgments
      .filter(({ person }) => person === name)
      .map(({ judgment }) => Number(judgment.kind === 'pair' && judgment.choice === 'first'));
  const names = ['careful', 'good', 'tired', 'leaning'];
  const kappas = names.flatMap((one, i) => names.slice(i + 1).map((other) => cohenKappa(judged(one), judged(other))));
  expect(kappas).toHaveLength(6);
  expect(quality.cohen).toBeCloseTo(kappas.reduce((a, b) => a + b) / 6, 12);
  const few = [...judgments.slice(0, ITEMS), ...judgments.slice(ITEMS, ITEMS + 4)];
  expect(qualityOf(few).cohen).toBeNaN();
});

it('says what judgments take, and what they give for it', () => {
  const { cost } = of('careful');
  expect(cost.seconds).toBeCloseTo(2.0595, 4);
  expect(cost.perHour).toBeCloseTo(3600 / 2.0595, 4);
  expect(cost.hours).toBeCloseTo((120 * 2.0595) / 3600, 4);
  expect(cost.bits).toBeGreaterThan(of('leaning').cost.bits + 0.1);
  expect(cost.pricePerBit).toBeCloseTo(30 / (cost.perHour * cost.bits), 6);
  expect(qualityOf(judgments).cost.pricePerBit).toBeNaN();
  expect(qualityOf([]).cost).toMatchObject({ hours: 0, perHour: Number.NaN });
});

it('has nothing to say of nothing, or of what is written', () => {
  expect(qualityOf([])).toMatchObject({
    answers: 0,
    people: [],
    disagreements: [],
    cohen: Number.NaN,
    fleiss: Number.NaN,
  });
  const written = qualityOf([{ ...judgments[1], duration: 2000, judgment: { kind: 'demonstration', text: 'a' } }]);
  expect(written.people[0]).toMatchObject({ answers: 1, reliability: Number.NaN, seconds: 2 });
});
