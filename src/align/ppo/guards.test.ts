import { expect, it } from 'vitest';
import { ownData, smallModel, take } from '../../../test/support/training.ts';
import { repetition, sameness } from '../policies/texts.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { ensembleReward } from '../rewards/open.ts';
import { guard, guardsSchema } from './guards.ts';
import { createLanguagePpo, type PpoInput } from './learner.ts';

const llama = smallModel();
const { dataOf } = ownData();
const data = dataOf([{ prompt: 'red' }, { prompt: 'a blue sun' }]);
const completion = (response: number[]): Completion => ({
  prompt: [],
  response,
  ended: true,
  promptText: '',
  text: '',
});

it('measures repetition within a completion', () => {
  expect(repetition([1, 2, 3, 4], 1)).toBe(0);
  expect(repetition([1, 1, 1, 1], 1)).toBe(0.75);
  expect(repetition([1, 2, 1, 2, 1], 2)).toBe(0.5);
  expect(repetition([1], 2)).toBe(0);
});

it('measures what completions have in common', () => {
  expect(sameness([{ response: [1, 2] }, { response: [1, 3] }, { response: [4, 5] }], 1)).toEqual([0.25, 0.25, 0]);
  expect(sameness([{ response: [1, 2] }, { response: [1, 2] }], 2)).toEqual([1, 1]);
  expect(sameness([{ response: [1, 2] }], 2)).toEqual([0]);
});

it('has no penalties by default, but metrics', () => {
  const completions = [completion([1, 1, 1, 1]), completion([1, 2])];
  const { penalties, metrics } = guard(completions, guardsSchema.parse({ ngram: 1 }), 2);
  expect([...penalties]).toEqual([0, 0]);
  expect(metrics).toEqual({ 'guard/length': 0.5, 'guard/repetition': 0.375, 'guard/sameness': 0.75 });
  const weights = guardsSchema.parse({ ngram: 1, length: 1, repetition: 10, sameness: 100 });
  expect([...guard(completions, weights, 2).penalties]).toEqual([1 + 7.5 + 100, 50]);
});

const rewardOf = (name: string, score: (completion: Completion) => number): Reward => ({
  name,
  score: async (completions) => completions.map(score),
});
const settings: PpoInput = {
  model: llama,
  data,
  evaluation: { data },
  steps: 1,
  evaluations: 0,
  batch: 8,
  maxTokens: 6,
  kl: { beta: 0 },
  maxKl: 0,
  score: { missingEos: 0, normalize: 'none' },
  ppo: { minibatch: 8, epochs: 1 },
};

it('takes its penalties from what the policy learns from', async () => {
  const reward = rewardOf('length', ({ response }) => response.length);
  const first = async (guards: PpoInput['guards']) => {
    // so cold a policy repeats itself, and others
    const cold = { ...settings, maxTokens: 12, temperature: 0.2 };
    using learner = await createLanguagePpo({ ...cold, reward, guards: { ngram: 1, ...guards } });
    return (await learner.next()).metrics;
  };
  const free = await first({});
  expect(free['reward/objective']).toBeCloseTo(free['reward/mean'], 6);
  for (const weights of [{ repetition: 20 }, { sameness: 20 }] as const) {
    const metrics = await first(weights);
    const [[name, weight]] = Object.entries(weights);
    const penalty = metrics[`guard/${name}`];
    expect(penalty, name).toBe(free[`guard/${name}`]);
    expect(penalty, name).toBeGreaterThan(0);
    expect(metrics['reward/mean']).toBe(free['reward/mean']);
    expect(metrics['reward/objective'], name).toBeCloseTo(free['reward/objective'] - weight * penalty, 5);
    expect(metrics['loss/value'], name).not.toBeCloseTo(free['loss/value'], 3);
  }
});

it('learns less of what members of an ensemble disagree about', async () => {
  const meant = ({ response }: Completion) => response.filter((id) => id < 64).length;
  const mistaken = ({ response }: Completion) => response.filter((id) => id >= 64 && id < 320).length;
  const rollouts: (readonly Completion[])[] = [];
  const noted: Reward['score'] = async (completions) => {
    rollouts.push(completions);
    return completions.map(meant);
  };
  const members = [
    { name: 'meant', score: noted },
    rewardOf('mistaken', (completion) => meant(completion) + 2 * mistaken(completion)),
  ];
  using learner = await createLanguagePpo({ ...settings, reward: ensembleReward(members, 1) });
  const { metrics } = await learner.next();
  const mean = (score: (completion: Completion) => number) => rollouts[0].reduce((sum, one) => sum + score(one), 0) / 8;
  // half the difference is the deviation: at a pessimism of 1, the mistaken reward is all taken back
  expect(mean(mistaken)).toBeGreaterThan(0);
  expect(metrics['reward/disagreement']).toBeCloseTo(mean(mistaken), 5);
  expect(metrics['reward/objective']).toBeCloseTo(mean(meant), 5);
});

it('raises the alarms of KL and entropy where a policy says a few words, and not where KL costs', async () => {
  const words = rewardOf('words', ({ response }) => response.filter((id) => id < 16).length);
  const exploit = async (kl: PpoInput['kl']) => {
    using learner = await createLanguagePpo({
      ...settings,
      reward: words,
      steps: 10,
      batch: 16,
      maxTokens: 8,
      kl,
      learningRate: 1e-2,
      ppo: { minibatch: 8 },
      score: { missingEos: 0 },
    });
    const steps = await take(learner, 10);
    return { alerts: steps.flatMap((step) => step.alerts.map(({ metric }) => metric)), last: steps.at(-1)!.metrics };
  };
  const free = await exploit({ beta: 0 });
  const held = await exploit({ beta: 4, controller: 'fixed' });
  const alarms = ['kl/mean', 'policy/entropy'];
  expect(free.alerts).toEqual(expect.arrayContaining(alarms));
  for (const alarm of alarms) expect(held.alerts).not.toContain(alarm);
  expect(held.last['kl/mean']).toBeLessThan(0.5 * free.last['kl/mean']);
});
