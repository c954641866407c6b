import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { choices, type PairJudgment } from './comparison.ts';
import { parseTeacher, type RewardedOption, syntheticTeacher, teacherSchema } from './synthetic-teacher.ts';
import type { Query, QueryJudgment } from './teacher.ts';

fc.configureGlobal({ seed: 1 });

const { first, second, tie } = choices;

type Pair = [ArrayLike<number>, ArrayLike<number>];

const ask = (pairs: Pair[], typicalReturn?: number): Query<RewardedOption>[] =>
  pairs.map(([a, b], i) => ({
    id: `q${i}`,
    options: [
      { rewards: a, typicalReturn },
      { rewards: b, typicalReturn },
    ],
  }));

const answers = (text: string, questions: Query<RewardedOption>[], seed = 0): (PairJudgment | 'skip')[] =>
  [...(parseTeacher(text, seed).answer(questions) as Iterable<QueryJudgment>)].map((answer) => answer.choice);

const one = (text: string, a: ArrayLike<number>, b: ArrayLike<number>, typicalReturn?: number) =>
  answers(text, ask([[a, b]], typicalReturn))[0];

const repeated = (n: number, a: number[], b: number[]): Pair[] => Array.from({ length: n }, () => [a, b]);
const shareOf = (choice: PairJudgment, got: (PairJudgment | 'skip')[]) =>
  got.filter((c) => c === choice).length / got.length;

// Six standard deviations of a share of n answers: what chance does not reach, and a wrong formula does.
const within = (p: number, n: number) => 6 * Math.sqrt((p * (1 - p)) / n);

describe('oracle', () => {
  it('prefers the larger sum and calls equal sums a tie', () => {
    expect(one('oracle', [1, 1], [1, 0])).toBe(first);
    expect(one('oracle', [-1], [-0.5])).toBe(second);
    expect(one('oracle', Float32Array.of(1, 2), Float32Array.of(2, 1))).toBe(tie);
  });

  it('counts an option that ended early for the steps it had', () => {
    expect(one('oracle', new Array(25).fill(1), new Array(9).fill(1))).toBe(first);
    expect(one('oracle', [], [1])).toBe(second);
    expect(one('oracle', [-1, -1, -1], [-1])).toBe(second);
  });

  it('calls a tie within a tolerance', () => {
    expect(one('oracle+tie:1', [3], [2])).toBe(tie);
    expect(one('oracle+tie:1', [3], [1.9])).toBe(first);
    expect(one('tie', [0], [1])).toBe(tie);
  });

  it('refuses rewards that are not finite', () => {
    expect(() => one('oracle', [Number.NaN], [1])).toThrow(HeedError);
  });
});

describe('randomness', () => {
  const pairs: Pair[] = Array.from({ length: 200 }, (_, i) => [[i % 7], [i % 5]]);

  it('depends on the question and the seed, not on the batch or the order', () => {
    for (const text of ['mistake:0.4', 'stochastic:0.5', 'shuffled']) {
      const questions = ask(pairs);
      const whole = answers(text, questions);
      expect(answers(text, questions)).toEqual(whole);
      expect(questions.flatMap((question) => answers(text, [question]))).toEqual(whole);
      expect(answers(text, [...questions].reverse()).reverse()).toEqual(whole);
      expect(answers(text, questions, 1)).not.toEqual(whole);
    }
  });
});

describe('mistake', () => {
  it('gives the other answer at its rate and leaves ties alone', () => {
    const n = 20_000;
    for (const rate of [0, 0.1, 0.3, 1]) {
      const got = answers(`mistake:${rate}`, ask(repeated(n, [2], [1])));
      expect(Math.abs(shareOf(second, got) - rate)).toBeLessThanOrEqual(within(rate, n));
    }
    expect(shareOf(tie, answers('mistake:0.5', ask(repeated(500, [1], [1]))))).toBe(1);
  });

  it('defaults to a tenth', () => {
    const questions = ask(repeated(1000, [2], [1]));
    expect(answers('mistake', questions)).toEqual(answers('mistake:0.1', questions));
  });

  it('is independent of the coin of a stochastic teacher', () => {
    const n = 20_000;
    const p = 1 / (1 + Math.exp(-1));
    const expected = 0.8 * p + 0.2 * (1 - p);
    const got = answers('stochastic:1+mistake:0.2', ask(repeated(n, [1], [0])));
    expect(Math.abs(shareOf(first, got) - expected)).toBeLessThan(within(expected, n));
  });
});

describe('stochastic', () => {
  it('chooses with the probability of equation (3)', () => {
    const n = 20_000;
    for (const [beta, gain] of [
      [1, 1],
      [0.1, -5],
      [3, 0.2],
    ]) {
      // biome-ignore format: a table
      const p = 1 / (1 + Math.exp(-beta * gain));
      const got = answers(`stochastic:${beta}`, ask(repeated(n, [gain], [0])));
      expect(Math.abs(shareOf(first, got) - p)).toBeLessThan(within(p, n));
    }
  });

  it('is the oracle where the difference is large', () => {
    expect(one('stochastic', [1e4], [0])).toBe(first);
    expect(one('stochastic', [-1e4], [0])).toBe(second);
  });
});

describe('myopic', () => {
  it('weighs late steps more: Σ γ^(H−t) r', () => {
    expect(one('oracle', [1.5, 0, 0], [0, 0, 1])).toBe(first);
    expect(one('myopic:0.9', [1.5, 0, 0], [0, 0, 1])).toBe(first); // 1.215 against 1
    expect(one('myopic:0.8', [1.5, 0, 0], [0, 0, 1])).toBe(second); // 0.96 against 1
  });

  it('holds an early end to be long ago', () => {
    expect(one('myopic:0.5', [3], [0, 0, 1])).toBe(second); // 0.75 against 1
    expect(one('myopic:0.5', [0, 0, 1], [5])).toBe(second); // 1 against 1.25
    expect(one('myopic', new Array(25).fill(1), new Array(9).fill(1))).toBe(first);
  });
});

describe('skip and equal', () => {
  it('skip a question where neither option earns its share', () => {
    expect(one('skip:0.5', [4], [3], 10)).toBe('skip');
    expect(one('skip:0.5', [5], [3], 10)).toBe(first);
    expect(one('skip', [0.5], [0.9], 10)).toBe('skip');
  });

  it('call a tie where returns are close', () => {
    expect(one('equal:0.5', [4], [0], 10)).toBe(tie);
    expect(one('equal:0.5', [5], [0], 10)).toBe(first);
    expect(one('equal', [0.5], [1.4], 10)).toBe(tie);
  });

  it('stay sensible where an average option earns nothing or less', () => {
    for (const typical of [0, -10]) expect(one('skip:0.5', [-20], [-30], typical)).toBe(first);
    expect(one('equal:0.5', [-20], [-24], -10)).toBe(tie);
    expect(one('equal:0.5', [-20], [-30], -10)).toBe(first);
    expect(one('equal:0.5', [1], [0], 0)).toBe(first);
  });

  it('skip before they tie, and tie before they err', () => {
    expect(one('skip:0.5+equal:0.5', [1], [1], 10)).toBe('skip');
    expect(one('equal:0.5+mistake:1', [1], [0], 10)).toBe(tie);
  });

  it('say that they need to know what an average option earns', () => {
    expect(() => one('skip', [1], [0])).toThrow('average option');
    expect(() => one('equal', [1], [0])).toThrow(HeedError);
  });
});

describe('controls', () => {
  it('inverted gives exactly the other answer of any teacher', () => {
    const rewards = fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 5 });
    fc.assert(
      fc.property(fc.array(fc.tuple(rewards, rewards)), fc.integer(), (pairs, seed) => {
        for (const text of ['oracle', 'stochastic', 'mistake:0.3', 'myopic']) {
          const straight = answers(text, ask(pairs), seed);
          const inverted = answers(`${text}+inverted`, ask(pairs), seed);
          expect(inverted).toEqual(straight.map((c) => (c === tie ? tie : c === first ? second : first)));
        }
      }),
    );
  });

  it('shuffled ignores the options, ties included', () => {
    const n = 20_000;
    const got = answers('shuffled', ask(repeated(n, [5], [0])));
    expect(Math.abs(shareOf(first, got) - 0.5)).toBeLessThan(within(0.5, n));
    expect(answers('shuffled', ask(repeated(n, [0], [0])))).toEqual(got);
  });
});

describe('a side carries no information', () => {
  it('swapping the options swaps the answer of every teacher without a coin', () => {
    const rewards = fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { maxLength: 5 });
    fc.assert(
      fc.property(rewards, rewards, fc.integer(), (a, b, seed) => {
        for (const text of ['oracle', 'mistake:0.3', 'myopic', 'skip', 'equal', 'inverted', 'tie:0.5']) {
          const [straight] = answers(text, ask([[a, b]], 3), seed);
          const [swapped] = answers(text, ask([[b, a]], 3), seed);
          if (straight === first || straight === second) expect(swapped).toBe(straight === first ? second : first);
          else expect(swapped).toBe(straight);
        }
      }),
    );
  });
});

describe('parseTeacher', () => {
  it('names the teacher by its text', () => {
    expect(parseTeacher('mistake:0.2+tie:1', 0).name).toBe('mistake:0.2+tie:1');
  });

  it('means what the settings mean', () => {
    const questions = ask(
      Array.from({ length: 300 }, (_, i) => [
        [i % 3, 1],
        [0, i % 4],
      ]),
      2,
    );
    const settings = teacherSchema.parse({ beta: 2, mistake: 0.2, discount: 0.8, skip: 0.4, equal: 0.2 });
    const teacher = syntheticTeacher('mine', settings, 5);
    const got = [...(teacher.answer(questions) as Iterable<QueryJudgment>)].map((answer) => answer.choice);
    expect(answers('stochastic:2 + mistake:0.2 + myopic:0.8 + skip:0.4 + equal:0.2', questions, 5)).toEqual(got);
  });

  it('lists what exists where the name is unknown', () => {
    for (const text of ['expert', '', 'toString', 'oracle+', 'Oracle']) {
      try {
        parseTeacher(text, 0);
        expect.unreachable();
      } catch (error) {
        expect(error).toBeInstanceOf(HeedError);
        for (const name of ['oracle', 'stochastic', 'mistake', 'skip', 'equal', 'myopic', 'inverted', 'shuffled']) {
          expect((error as HeedError).hint).toContain(name);
        }
      }
    }
  });

  it.each([
    'mistake:2',
    'mistake:-0.1',
    'mistake:a',
    'mistake:1x',
    'mistake:',
    'mistake:0.1:2',
    'myopic:0',
    'stochastic:0',
    'oracle:1',
    'inverted:1',
    'mistake:0.1+mistake:0.2',
    'inverted+shuffled',
  ])('refuses %s', (text) => {
    expect(() => parseTeacher(text, 0)).toThrow(HeedError);
  });
});
