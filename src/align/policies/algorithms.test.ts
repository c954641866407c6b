/**
 * REINFORCE, RLOO, GRPO and its variants, RAFT, ReST and online DPO: each makes likelier what is rewarded, and restores
 * its state. That the losses are those of TRL and PyTorch is tested beside them; one learner here is trained to its end.
 */
import { afterAll, expect, it } from 'vitest';
import { checkpointOf, plain, smallModel, take } from '../../../test/support/training.ts';
import { Disposables } from '../../disposables.ts';
import { loadModel } from '../../lm/model.ts';
import { bestOfEach, createRaftAlgorithm, raftSchema } from '../best-of-n/raft.ts';
import { bestShare, createRestAlgorithm, restSchema } from '../best-of-n/rest.ts';
import { createGrpoAlgorithm, grpoSchema, overlongPenalty } from '../policy-gradient/grpo.ts';
import { createReinforceAlgorithm, reinforceSchema, rlooSchema } from '../policy-gradient/reinforce.ts';
import { createOnlineDpoAlgorithm, onlineDpoSchema } from '../preferences/online-dpo.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { createLanguagePolicy, type LanguagePolicy } from '../training/policy.ts';
import type { PolicyAlgorithm } from './algorithm.ts';
import { type CompletionLayout, completionLayout, createCompletionScorer } from './completion-batches.ts';
import { createPolicyLearner } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';
import { createRollouts } from './rollouts.ts';

const llama = smallModel();

/** The share of tokens with an even id: half of them at first. */
const evenness = ({ response }: Completion) => response.filter((id) => id % 2 === 0).length / response.length;
const reward: Reward = { name: 'even', score: async (completions) => completions.map(evenness) };

type Options = PolicyTrainingOptions & { completions: number };
type Make = (policy: LanguagePolicy, layout: CompletionLayout, options: never) => PolicyAlgorithm;

// steps are large for so small a model
const settings = { model: llama, maxKl: 10, batch: 4, maxTokens: 6, evaluations: 1, learningRate: 0.01, rows: 2 };
const grpo = (input: object) => grpoSchema.parse({ ...settings, steps: 12, epochs: 2, ...input });
const onlineDpo = (input: object) => ({
  ...onlineDpoSchema.parse({ ...settings, batch: 16, steps: 12, ...input }),
  completions: 2,
});
const cases: [name: string, make: Make, options: Options][] = [
  ['REINFORCE', createReinforceAlgorithm, reinforceSchema.parse({ ...settings, batch: 16, steps: 12 })],
  ['RLOO', createReinforceAlgorithm, rlooSchema.parse({ ...settings, steps: 12 })],
  [
    'RLOO, clipped, in epochs and minibatches',
    createReinforceAlgorithm,
    rlooSchema.parse({ ...settings, steps: 6, epochs: 2, minibatches: 2, clip: 0.2 }),
  ],
  [
    'RLOO with adapters',
    createReinforceAlgorithm,
    rlooSchema.parse({ ...settings, batch: 8, steps: 24, learningRate: 0.02, lora: { rank: 16 } }),
  ],
  ['GRPO', createGrpoAlgorithm, grpo({})],
  ['Dr. GRPO', createGrpoAlgorithm, grpo({ loss: 'dr_grpo', scale: 'none', learningRate: 0.02 })],
  ['GSPO', createGrpoAlgorithm, grpo({ level: 'sequence', beta: 0 })],
  ['DAPO', createGrpoAlgorithm, grpo({ loss: 'dapo', beta: 0, clip: { high: 0.28 }, overlong: 2, dropEqual: true })],
  ['CISPO', createGrpoAlgorithm, grpo({ loss: 'cispo', clip: { high: 5 }, unbiasedKl: true })],
  ['SAPO', createGrpoAlgorithm, grpo({ loss: 'sapo', offPolicy: 1, entropy: 0.001, topEntropy: 0.8 })],
  ['VESPO', createGrpoAlgorithm, grpo({ loss: 'vespo', minibatches: 2 })],
  ['LUSPO', createGrpoAlgorithm, grpo({ loss: 'luspo', level: 'sequence', maskTruncated: false })],
  ['RAFT', createRaftAlgorithm, raftSchema.parse({ ...settings, steps: 6 })],
  ['ReST', createRestAlgorithm, restSchema.parse({ ...settings, steps: 4, minibatches: 2 })],
  ['online DPO', createOnlineDpoAlgorithm, onlineDpo({})],
  ['online IPO with adapters', createOnlineDpoAlgorithm, onlineDpo({ loss: 'ipo', steps: 24, lora: { rank: 16 } })],
];

const model = await loadModel(llama);
const prompts = ['red sun', 'a', 'the capital of France is', 'cats', 'dogs are'].map((text) => ({
  ids: model.tokenizer.encode(text),
  text,
}));

/** A policy, its rollouts, and its log-probabilities of completions: compiled once for all algorithms. */
async function policyOf(rank: number) {
  const own = await loadModel(llama);
  const policy = createLanguagePolicy(own, { lora: { rank }, seed: 0 });
  const layout = completionLayout(own, prompts, { rows: 2, maxTokens: 6, completions: 4 });
  const rollouts = createRollouts(policy, reward, { layout, maxTokens: 6, temperature: 1, batch: 16 });
  const scorer = createCompletionScorer(own.config, policy.weights, layout, { linear: policy.linear });
  const initial = policy.parameters.flat.slice();
  return { policy, layout, rollouts, scorer, initial };
}
const policies = { whole: await policyOf(0), adapters: await policyOf(16) };
afterAll(() => {
  for (const { rollouts, scorer, policy } of Object.values(policies)) {
    for (const part of [rollouts, scorer, policy, policy.model]) part[Symbol.dispose]();
  }
  model[Symbol.dispose]();
});

/** How numbers go together: −1 … 1. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const about = (values: readonly number[]) => {
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    return values.map((x) => x - mean);
  };
  const [x, y] = [about(a), about(b)];
  return x.reduce((sum, value, i) => sum + value * y[i], 0) / Math.hypot(...x) / Math.hypot(...y);
}

it.each(cases)('%s makes what is rewarded likelier, and repeats an update bit for bit', async (_, make, options) => {
  const { policy, layout, rollouts, scorer, initial } = policies[options.lora.rank ? 'adapters' : 'whole'];
  policy.parameters.flat.set(initial);
  const algorithm = make(policy, layout, options as never);
  const some = Array.from({ length: options.batch }, (_, i) => prompts[i % prompts.length]);
  const rollout = await rollouts.run(some, 3, options.completions);
  const likelihoods = async () =>
    (await scorer.run(rollout.completions)).map((own) => own.reduce((a, b) => a + b, 0) / own.length);
  const before = await likelihoods();
  for (let step = 0; step < 3; step++) {
    const metrics = await algorithm.update(rollout, 0.01, step);
    for (const [name, value] of Object.entries(metrics)) expect(value, name).toSatisfy(Number.isFinite);
  }
  const gains = (await likelihoods()).map((after, i) => after - before[i]);
  expect(correlation([...rollout.scores], gains)).toBeGreaterThan(0.3);

  const weights = policy.parameters.flat.slice();
  const checkpoint = checkpointOf(algorithm);
  const next = await algorithm.update(rollout, 0.01, 3);
  const expected = policy.parameters.flat.slice();
  expect(expected).not.toEqual(weights);
  await algorithm.update(rollout, 0.01, 4);
  policy.parameters.flat.set(weights);
  algorithm.restore(checkpoint);
  expect(await algorithm.update(rollout, 0.01, 3)).toEqual(next);
  expect(policy.parameters.flat).toEqual(expected);
  algorithm[Symbol.dispose]();
});

it('a learner raises the reward, step by step, and resumes from any step bit for bit', async () => {
  const options = grpo({});
  const learnerOf = async () => {
    const scope = new Disposables();
    const policy = scope.use(createLanguagePolicy(scope.use(await loadModel(llama)), { lora: options.lora, seed: 0 }));
    const layout = completionLayout(model, prompts, options);
    return createPolicyLearner({
      policy,
      reward,
      options,
      name: 'test',
      prompts,
      layout,
      completionsPerPrompt: options.completions,
      scope,
      evaluationPrompts: Array.from({ length: 40 }, (_, i) => prompts[i % prompts.length]),
      algorithm: createGrpoAlgorithm(policy, layout, options),
    });
  };
  const whole = await learnerOf();
  const before = await whole.evaluate();
  const steps = await take(whole, options.steps / 2);
  const checkpoint = checkpointOf(whole);
  const rest = await take(whole, options.steps / 2);
  expect(rest.at(-1)!.evaluation!.reward).toBeGreaterThan(before.reward + 0.1);
  for (const { metrics } of [...steps, ...rest])
    for (const value of Object.values(metrics)) expect(value).toSatisfy(Number.isFinite);

  const resumed = await learnerOf();
  resumed.restore(checkpoint);
  expect(plain(await take(resumed, options.steps / 2))).toEqual(plain(rest));
  for (const learner of [whole, resumed]) learner[Symbol.dispose]();
});

it('chooses the best of each group, or a share', () => {
  const scores = [1, 3, 3, 2, 0, -1, -2, -3];
  expect(bestOfEach(scores, 4)).toEqual([1, 4]);
  expect(bestShare(scores, 4, 0.5)).toEqual([1, 2, 4, 5]);
  expect(bestShare(scores, 4, 0.9)).toEqual([1, 4]);
});

it('has the overlong penalty of TRL', () => {
  const lengths = [10, 15, 16, 18, 20, 25];
  expect(lengths.map((length) => -overlongPenalty(length, 20, 5))).toEqual([-0, -0, -0.2, -0.6, -1, -1]);
  expect(overlongPenalty(25, 20, 0)).toBe(0);
});

it('refuses settings that do not fit one another', () => {
  expect(() => grpo({ loss: 'vespo', level: 'sequence' })).toThrow(/no ratio of whole completions/);
  expect(() => restSchema.parse({ ...settings, thresholds: [0.5, 0.5] })).toThrow(/rising/);
  expect(() => rlooSchema.parse({ ...settings, completions: 1 })).toThrow(/completions/);
  expect(() => reinforceSchema.parse({ ...settings, baseline: 'leave-one-out' })).toThrow(/2 or more/);
});

it('refuses episodes that are longer than the model reads, by the flag that sets their length', () => {
  const model = { config: { maxPositions: 128 }, tokenizer: {} } as Parameters<typeof completionLayout>[0];
  const unknown = [{ ids: [] }] as unknown as Parameters<typeof completionLayout>[1];
  expect(() => completionLayout(model, unknown, { rows: 1, maxTokens: 1024 })).toThrow(
    expect.objectContaining({
      message: expect.stringContaining('128'),
      hint: expect.stringContaining('--episode.tokens'),
    }),
  );
});
