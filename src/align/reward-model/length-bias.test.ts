import { describe, expect, it } from 'vitest';
import { ownData, smallModel, take } from '../../../test/support/training.ts';
import { random } from '../../random.ts';
import { lengthCoefficient, withoutLength } from './length-bias.ts';
import { createReward, type RewardInput } from './reward.ts';

const { dataOf } = ownData();
const draws = random(0, 'data');

describe('the coefficient of length', () => {
  it('is that of the pairs: how often the longer one wins, however they are listed', () => {
    // of pairs of twice the length, the longer one wins three times of four: w ln 2 = ln 3
    const n = 4000;
    const lists = Array.from({ length: n }, (_, i) => ({
      first: 2 * i,
      levels: i % 4 > 0 ? [1, 0] : [0, 1],
      merits: [0, 0],
      prompt: '',
      source: undefined,
      weight: 1,
    }));
    const lengths = lists.flatMap(() => [20, 10]);
    const all = lists.map((_, i) => i);
    expect(lengthCoefficient({ lists, lengths }, all)).toBeCloseTo(Math.log(3) / Math.LN2, 2);
    const turned = lists.map((list) => ({ ...list, levels: list.levels.toReversed() }));
    expect(lengthCoefficient({ lists: turned, lengths }, all)).toBeCloseTo(-Math.log(3) / Math.LN2, 2);
  });

  it('stays finite where length decides everything, and is 0 where all are as long', () => {
    const lists = [0, 1].map((i) => ({
      first: 2 * i,
      levels: [1, 0],
      merits: [0, 0],
      prompt: '',
      source: undefined,
      weight: 1,
    }));
    expect(lengthCoefficient({ lists, lengths: [1000, 1, 1000, 1] }, [0, 1])).toBeGreaterThan(0.2);
    expect(lengthCoefficient({ lists, lengths: [1000, 1, 1000, 1] }, [0, 1])).toBeLessThan(5);
    expect(lengthCoefficient({ lists, lengths: [7, 7, 7, 7] }, [0, 1])).toBe(0);
  });

  it('goes into the margin, so that the scores need not explain it', () => {
    const { merits } = withoutLength({ merits: [0.5, 0] }, [20, 10], 2);
    expect(merits[0] - merits[1]).toBeCloseTo(0.5 - 2 * Math.LN2, 12);
  });
});

/** The longer one is chosen four times of five; among equally long ones, that with a cat. */
const words = (n: number) => Array.from({ length: n }, () => ['red', 'sun', 'moon', 'dog'][draws.integer(4)]);
const rowsOf = (count: number, even: boolean) =>
  Array.from({ length: count }, (_, i) => {
    const equal = even || i % 4 === 0;
    const [long, short] = [words(equal ? 4 : 10), words(4)];
    if (equal) long[draws.integer(4)] = 'cat';
    const [chosen, rejected] = equal || i % 5 > 0 ? [long, short] : [short, long];
    return { prompt: `Say ${i}:`, chosen: ` ${chosen.join(' ')}`, rejected: ` ${rejected.join(' ')}` };
  });

it('keeps length out of the rewards', async () => {
  const input: RewardInput = {
    model: smallModel(),
    data: dataOf(rowsOf(160, false)),
    evaluation: { data: dataOf([...rowsOf(40, false), ...rowsOf(20, true)]) },
    batch: 8,
    epochs: 2,
    evaluations: 1,
    learningRate: 2e-3,
  };
  const [plain, debiased] = await Promise.all(
    [false, true].map(async (lengthDebias) => {
      const learner = await createReward({ ...input, lengthDebias });
      const steps = await take(learner, learner.steps);
      learner[Symbol.dispose]();
      return steps.at(-1)!.evaluation!;
    }),
  );
  expect(plain.lengthCoefficient).toBeUndefined();
  expect(debiased.lengthCoefficient).toBeGreaterThan(0.5);
  expect(plain.longerWins - plain.longerChosen).toBeGreaterThan(0.1);
  expect(debiased.longerWins).toBeLessThan(plain.longerWins - 0.05);
  const even = ({ byLength }: typeof plain) => byLength.find(({ label }) => label === 'about as long')!.accuracy;
  expect(even(debiased)).toBeGreaterThan(0.8);
});

it('refuses a loss without margins', () => {
  const input = { model: smallModel(), data: dataOf(rowsOf(4, true)) };
  expect(() => createReward({ ...input, loss: 'plackett-luce', lengthDebias: true })).toThrow(/--length-debias/);
});
