/**
 * Online DPO: what becomes a pair, and who may compare. That it learns and resumes is in policies/algorithms.test.ts.
 */
import { expect, it } from 'vitest';
import { ownData, smallModel, take } from '../../../test/support/training.ts';
import type { CompletionJudge, CompletionPair } from '../judges/judge.ts';
import { localPolicy } from '../policies/remote-policy.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { createOnlineDpo, judgedReward, type OnlineDpoInput, onlineDpoSchema, pairsOf } from './online-dpo.ts';

const { dataOf } = ownData();
const data = dataOf(['red sun', 'a', 'the capital of France is', 'cats'].map((prompt) => ({ prompt })));
const settings: OnlineDpoInput = {
  model: smallModel(),
  data,
  evaluation: { data },
  batch: 4,
  part: 4,
  maxTokens: 6,
  evaluations: 1,
  learningRate: 0.01,
  rows: 2,
};
const of = (worth: (completion: Completion) => number): Reward => ({
  name: 'test',
  score: async (completions) => completions.map(worth),
});

it('chooses the better of two completions, and makes no pair of equal ones', () => {
  expect(pairsOf([1, 2, 3, 3, 5, 4])).toEqual([
    [1, 0],
    [4, 5],
  ]);
});

it('learns nothing where all completions have the same reward', async () => {
  const learner = await createOnlineDpo({ ...settings, steps: 1, reward: of(() => 1) });
  const before = localPolicy(learner.policy, 'The test').parameters.flat.slice();
  const [{ metrics }] = await take(learner, 1);
  expect(metrics['reward/equal_pairs']).toBe(1);
  expect(metrics).not.toHaveProperty('loss/policy');
  expect(localPolicy(learner.policy, 'The test').parameters.flat).toEqual(before);
  learner[Symbol.dispose]();
});

it('learns nothing from a completion that is written twice, however it is scored', async () => {
  let scored = 0;
  const learner = await createOnlineDpo({
    ...settings,
    steps: 1,
    maxTokens: 1,
    temperature: 1e-3,
    reward: of(() => scored++),
  });
  const [{ metrics }] = await take(learner, 1);
  expect(metrics['reward/equal_pairs']).toBe(1);
  learner[Symbol.dispose]();
});

it('learns the pairs that are left, from a loss of log 2 on, at any temperature', async () => {
  // of four prompts, one has completions that differ
  const reward = of(({ promptText, response }) => (promptText === 'a' ? response.reduce((a, b) => a + b, 0) : 0));
  const learner = await createOnlineDpo({ ...settings, steps: 2, temperature: 0.7, reward });
  const [first, second] = await take(learner, 2);
  expect(first.metrics['reward/equal_pairs']).toBe(0.75);
  expect(first.metrics['loss/policy']).toBeCloseTo(Math.LN2, 4);
  expect(first.metrics['rewards/margins']).toBeCloseTo(0, 4);
  expect(second.metrics['reward/margin']).toBeGreaterThan(0);
  learner[Symbol.dispose]();
});

it('asks a judge which completion is better, and whether they are better than the reference’s', async () => {
  const seen: CompletionPair[] = [];
  const preferences: number[] = [];
  const judge: CompletionJudge = {
    name: 'of length',
    async compare(pairs) {
      seen.push(...pairs);
      const own = pairs.map(({ completions: [a, b] }) => (1 + Math.sign(a.length - b.length)) / 2);
      preferences.push(...own);
      return own.map((preference) => ({ preference, shown: ['first', 'second'] }));
    },
  };
  using learner = await createOnlineDpo({ ...settings, steps: 1, batch: 16, part: 16, judge });
  const { reward } = await learner.evaluate();
  expect(seen.map(({ prompt }) => prompt)).toEqual(['red sun', 'a', 'the capital of France is', 'cats']);
  expect(reward).toBe(preferences.reduce((sum, own) => sum + own / 4, 0));
  const [{ metrics }] = await take(learner, 1);
  expect(metrics['reward/mean']).toBe(0.5);
  expect(metrics['reward/margin']).toBeGreaterThan(0);
  expect(seen.every(({ completions: [a, b] }) => a !== b)).toBe(true);

  using judged = judgedReward(judge, localPolicy(learner.policy, 'The test'), learner.options);
  const [prompt, other] = [[1], [1]];
  const completionOf = (prompt: number[], text: string) => ({
    prompt,
    response: [2],
    ended: true,
    promptText: '',
    text,
  });
  const completions = [
    completionOf(prompt, 'long'),
    completionOf(prompt, ''),
    completionOf(other, 'a'),
    completionOf(other, 'longer'),
  ];
  expect(await judged.score([...completions, completionOf(prompt, 'same'), completionOf(prompt, 'same')])).toEqual([
    ...[1, 0, 0, 1],
    ...[0.5, 0.5],
  ]);
});

it('refuses settings that do not fit one another', () => {
  expect(() => onlineDpoSchema.parse({ ...settings, loss: 'exo_pair' })).toThrow(/more than 0/);
  expect(() => onlineDpoSchema.parse({ ...settings, loss: 'dpo' })).toThrow(/loss/);
  expect(() => onlineDpoSchema.parse({ ...settings, judge: 'a', subjectTo: 'B >= 1' })).toThrow(/none with --judge/);
});
