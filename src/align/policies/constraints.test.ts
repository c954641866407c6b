import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkpointOf, ownData, plain, smallModel, take } from '../../../test/support/training.ts';
import { createGrpo } from '../policy-gradient/grpo.ts';
import { createRloo } from '../policy-gradient/reinforce.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { mixedReward } from '../rewards/open.ts';
import type { PolicyAlgorithm } from './algorithm.ts';
import { type Constraint, constrain, keepsTo, parseConstraints, withConstraints } from './constraints.ts';
import type { LanguageRollout } from './rollouts.ts';

const llama = smallModel();
const { folder, dataOf } = ownData();
const data = dataOf(['red', 'blue sun', 'the moon is', 'a cat'].map((prompt) => ({ prompt })));

/** The share of tokens that are, half of them at first. */
const share = (name: string, is: (id: number) => boolean): Reward => ({
  name,
  score: async (completions) =>
    completions.map(({ response }: Completion) => response.filter(is).length / response.length),
});
const even = share('even', (id) => id % 2 === 0);

it('reads what is to hold', () => {
  expect(parseConstraints('B >= 0.5')).toEqual([{ name: 'B', sign: 1, threshold: 0.5 }]);
  expect(parseConstraints('runs/safe one/model >= -1e-2 and length.js<=80')).toEqual([
    { name: 'runs/safe one/model', sign: 1, threshold: -0.01 },
    { name: 'length.js', sign: -1, threshold: 80 },
  ]);
  for (const text of ['B', 'B > 1', 'B >= much', '>= 1', 'B >= 1 and']) {
    expect(() => parseConstraints(text), text).toThrow(/is not a constraint/);
  }
});

it('says whether an evaluation keeps to it', () => {
  const both = parseConstraints('a >= 1 and b <= 2');
  expect(keepsTo(both, { 'eval/a': 1, 'eval/b': 2 })).toBe(true);
  expect(keepsTo(both, { 'eval/a': 0.9, 'eval/b': 2 })).toBe(false);
  expect(keepsTo(both, { 'eval/a': 1, 'eval/b': 2.1 })).toBe(false);
  expect(keepsTo([], {})).toBe(true);
});

it('learns from the Lagrangian, whose multipliers follow what is missed', async () => {
  const seen: LanguageRollout[] = [];
  const algorithm: PolicyAlgorithm = {
    update: (rollout) => {
      seen.push(rollout);
      return { loss: 1 };
    },
    save: () => ({ state: undefined, tensors: {} }),
    restore() {},
    [Symbol.dispose]() {},
  };
  const constraints: Constraint[] = [
    { name: 'b', sign: 1, threshold: 1 },
    { name: 'c', sign: -1, threshold: 10 },
  ];
  const constrained = constrain(algorithm, constraints, { rate: 0.5 });
  const rollout = (a: number[], b: number[], c: number[]): LanguageRollout => ({
    completions: [],
    logProbs: [],
    referenceLogProbs: [],
    kl: [],
    scores: Float64Array.from(a),
    steps: a.map((reward) => [{ at: 0, reward }]),
    others: [
      { name: 'b', scores: b },
      { name: 'c', scores: c },
    ],
  });
  // deviations 2, 1 and 4
  const [low, high] = [1 - Math.SQRT1_2, 1 + Math.SQRT1_2].map((x) => x - 1);
  const first = rollout([2 * low, 2 * high], [low, high], [4 * low, 4 * high]);
  const metrics = await constrained.update(first, 1, 0);
  expect(metrics).toMatchObject({ loss: 1, 'lambda/b': expect.closeTo(0.5, 12), 'lambda/c': 0 });
  expect(metrics['constraint/b']).toBeCloseTo(0, 12);
  // (A/2 + 0.5 B) / 1.5
  for (const [i, z] of [low, high].entries()) expect(seen[0].scores[i]).toBeCloseTo((z + 0.5 * z) / 1.5, 12);
  expect(seen[0].steps![1][0].reward).toBeCloseTo(high / 1.5, 12);
  expect(seen[0].parts!.map(({ name, weight }) => [name, weight])).toEqual([
    ['objective', 1],
    ['b', expect.closeTo(0.5, 12)],
    ['c', -0],
  ]);
  // b is satisfied by far, c is missed by 2 of its deviations: those of the first step count
  expect(await constrained.update(rollout([2, 2], [3, 3], [18, 18]), 1, 1)).toMatchObject({
    'lambda/b': 0,
    'lambda/c': expect.closeTo(1, 12),
  });
  expect(seen[1].scores[0]).toBeCloseTo((1 - 18 / 4) / 2, 12);
});

const settings = {
  model: llama,
  data,
  steps: 24,
  batch: 8,
  completions: 4,
  maxTokens: 6,
  evaluations: 1,
  evaluation: { data, count: 4 },
  learningRate: 0.01,
  beta: 0,
  maxKl: 0, // the threshold alone holds the policy
};

it('keeps a reward above its threshold that falls without it, and resumes from any step bit for bit', async () => {
  // at odds: what is gained of one is lost of the other
  const file = join(folder, 'odd.mjs');
  writeFileSync(
    file,
    'export default (answers) => answers.map(({ response }) => response.filter((id) => id % 2).length / response.length);',
  );
  const run = async (rate: number, steps: number) => {
    const input = { ...settings, subjectTo: `${file} >= 0.4`, lagrange: { rate } };
    const learner = await createRloo({ ...input, reward: { ...even } });
    return { learner, taken: await take(learner, steps), input };
  };
  const lateMean = (taken: { metrics: Record<string, number> }[], name: string) =>
    taken.slice(-6).reduce((sum, { metrics }) => sum + metrics[name] / 6, 0);
  const free = await run(0, 24);
  expect(lateMean(free.taken, `constraint/${file}`)).toBeLessThan(0.25);
  expect(free.taken.at(-1)!.evaluation!.best).toBe(false);
  free.learner[Symbol.dispose]();

  const held = await run(0.5, 12);
  const checkpoint = checkpointOf(held.learner);
  const rest = await take(held.learner, 12);
  expect(lateMean(rest, `constraint/${file}`)).toBeGreaterThan(0.36);
  expect(lateMean(rest, `lambda/${file}`)).toBeGreaterThan(0.3);
  expect(rest.at(-1)!.evaluation!.measures[`eval/${file}`]).toEqual(expect.any(Number));
  const resumed = await createRloo({ ...held.input, reward: { ...even } });
  resumed.restore(checkpoint);
  expect(plain(await take(resumed, 12))).toEqual(plain(rest));
  for (const learner of [held.learner, resumed]) learner[Symbol.dispose]();
});

it('reports both rewards', async () => {
  const both = withConstraints(even, [{ ...even, name: 'other' }]);
  const completion: Completion = { prompt: [1], response: [2, 3, 4], ended: true, promptText: '', text: '' };
  expect(await both.explain!([completion])).toEqual({ scores: [2 / 3], others: [{ name: 'other', scores: [2 / 3] }] });
  expect(await both.score([completion])).toEqual([2 / 3]);
});

it('normalizes the parts of a reward first, with --aggregation of GRPO', async () => {
  const input = { ...settings, steps: 12, aggregation: 'normalize_then_sum' as const };
  const learner = await createGrpo({
    ...input,
    reward: mixedReward([
      { weight: 1, reward: even },
      {
        weight: 1,
        reward: { ...even, name: 'tiny', score: async (all) => Array.from(await even.score(all), (x) => x / 1e3) },
      },
    ]),
  });
  const steps = await take(learner, 12);
  const parts = steps.at(-1)!.evaluation!.measures;
  expect(parts['eval/even']).toBeGreaterThan(0.6);
  expect(parts['eval/tiny']).toBeCloseTo(parts['eval/even'] / 1e3, 9);
  learner[Symbol.dispose]();
  const none = await createGrpo({ ...input, reward: even });
  await expect(none.next()).rejects.toThrow(/has no parts/);
  none[Symbol.dispose]();
  expect(() => createGrpo({ ...input, scale: 'none', reward: even })).toThrow(/expected group/);
});
