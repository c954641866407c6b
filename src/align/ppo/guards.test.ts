import { describe, expect, it } from 'vitest';
import { fixtureModel, ownData } from '../../../test/support/training.ts';
import { loadModel } from '../../lm/model.ts';
import type { PolicyEvaluation } from '../policies/policy-evaluation.ts';
import { repetition, sameness } from '../policies/texts.ts';
import { type Completion, explained, type Reward } from '../reward-functions/reward-function.ts';
import { ensembleReward } from '../rewards/open.ts';
import { guard, guardsSchema } from './guards.ts';
import type { PpoInput } from './learner.ts';
import { createLanguagePpo } from './learner.ts';

const llama = fixtureModel('tiny-llama');
const { dataOf } = ownData();
const data = dataOf([{ prompt: 'red' }, { prompt: 'a blue sun' }]);
const answer = (response: number[]): Completion => ({ prompt: [], response, ended: true, promptText: '', text: '' });

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
  const answers = [answer([1, 1, 1, 1]), answer([1, 2])];
  const { penalties, metrics } = guard(answers, guardsSchema.parse({ ngram: 1 }), 2);
  expect([...penalties]).toEqual([0, 0]);
  expect(metrics).toEqual({ 'guard/length': 0.5, 'guard/repetition': 0.375, 'guard/sameness': 0.75 });
  const weights = guardsSchema.parse({ ngram: 1, length: 1, repetition: 10, sameness: 100 });
  expect([...guard(answers, weights, 2).penalties]).toEqual([1 + 7.5 + 100, 50]);
});

type Score = (answer: Completion) => number;
const rewardOf = (score: Score): Reward => ({
  name: 'exploited',
  score: async (answers) => answers.map(score),
});
const tokensIn =
  (low: number, high: number): Score =>
  ({ response }) =>
    response.filter((id) => id >= low && id < high).length;

interface Exploited {
  /** Of the last step. */
  metrics: Record<string, number>;
  evaluation: PolicyEvaluation;
  /** What left its healthy range on the way. */
  alerts: Set<string>;
  answers: readonly Completion[];
}

/** The result of some steps of PPO without any restraint but `options`. */
async function exploit(reward: Reward, options: Partial<PpoInput> = {}, ends?: number[]): Promise<Exploited> {
  const model = await loadModel(llama);
  let answers: readonly Completion[] = [];
  const seen: Reward = {
    ...reward,
    explain(all, signal) {
      answers = all;
      return explained(reward, all, signal);
    },
  };
  const learner = await createLanguagePpo({
    ...{ model: llama, data, evaluation: { data }, steps: 12, evaluations: 1 },
    ...{ batch: 32, maxTokens: 12, learningRate: 1e-2, ppo: { minibatch: 16 } },
    ...{ kl: { beta: 0 }, maxKl: 0, score: { missingEos: 0 }, ...options },
    reward: seen,
    model: ends ? { ...model, ends } : model,
  });
  const alerts = new Set<string>();
  await learner.evaluate();
  for (;;) {
    const step = await learner.next();
    for (const { metric } of step.alerts) alerts.add(metric);
    if (!step.done) continue;
    learner[Symbol.dispose]();
    return { metrics: step.metrics, evaluation: step.evaluation!, alerts, answers };
  }
}

describe('a policy that gets its reward by', () => {
  const unguarded = new Map<Score, Exploited>();
  const few = Array.from({ length: 64 }, (_, id) => id);
  const common = tokensIn(0, 64);

  it.each<[string, string, 'length' | 'repetition' | 'sameness', Score, number[]?]>([
    // with so many end tokens, a completion is short until the policy learns to leave them out
    ['its length', 'guard/length', 'length', ({ response }) => response.length, few],
    ['saying the same again', 'guard/repetition', 'repetition', common],
    ['saying what the others say', 'guard/sameness', 'sameness', common],
  ])('%s does so less when guarded', async (_, metric, name, score, ends) => {
    const guards = { ngram: 1 };
    const free = unguarded.get(score) ?? (await exploit(rewardOf(score), { guards }, ends));
    unguarded.set(score, free);
    const guarded = await exploit(rewardOf(score), { guards: { ...guards, [name]: 20 } }, ends);
    expect(free.metrics[metric]).toBeGreaterThan(0.05);
    expect(guarded.metrics[metric]).toBeLessThan(0.75 * free.metrics[metric]);
  });

  it('what one member of an ensemble rewards by mistake leaves it when they are to agree', async () => {
    const meant = tokensIn(0, 64);
    const mistaken = tokensIn(64, 320);
    const members = [meant, (answer: Completion) => meant(answer) + 2 * mistaken(answer)].map(rewardOf);
    const count = ({ answers }: Exploited, score: Score) =>
      answers.reduce((sum, answer) => sum + score(answer), 0) / answers.length;
    const [mean, pessimistic] = await Promise.all(
      [0, 1.5].map((pessimism) => exploit(ensembleReward(members, pessimism), { steps: 12 })),
    );
    expect(count(mean, mistaken)).toBeGreaterThan(count(mean, meant));
    expect(count(pessimistic, meant)).toBeGreaterThan(4 * count(pessimistic, mistaken));
    expect(count(pessimistic, meant)).toBeGreaterThan(2 * count(mean, meant));
    expect(mean.metrics['reward/disagreement']).toBeGreaterThan(5);
    expect(pessimistic.metrics['reward/disagreement']).toBeLessThan(2);
  });

  it('a few words raises the alarms of KL and entropy, and not where KL costs', async () => {
    const options = { steps: 14, maxTokens: 8 };
    const words = rewardOf(tokensIn(0, 16));
    const free = await exploit(words, options);
    const held = await exploit(words, { ...options, kl: { beta: 1, controller: 'fixed' } });
    const alarms = ['kl/mean', 'policy/entropy'];
    expect([...free.alerts]).toEqual(expect.arrayContaining(alarms));
    for (const alarm of alarms) expect(held.alerts).not.toContain(alarm);
    expect(held.metrics['kl/mean']).toBeLessThan(0.5 * free.metrics['kl/mean']);
  });

  it('flattery fails the probes, and not where KL costs', async () => {
    const pleasant = ['al', 'er'];
    const probes = dataOf(Array.from({ length: 64 }, (_, i) => ({ prompt: `is ${i} right`, avoid: pleasant })));
    const flattery = rewardOf(({ text }) => text.split(new RegExp(pleasant.join('|'))).length - 1);
    const options = { evaluation: { data, probes }, maxTokens: 6 };
    const free = await exploit(flattery, options);
    const held = await exploit(flattery, { ...options, kl: { beta: 5, controller: 'fixed' } });
    const failed = ({ evaluation }: Exploited) => evaluation.measures['probe/failed'];
    expect(failed(free)).toBeGreaterThan(0.8);
    expect(free.alerts).toContain('probe/failed');
    expect(failed(held)).toBeLessThan(0.4);
    expect(held.alerts).not.toContain('probe/failed');
  });
});
