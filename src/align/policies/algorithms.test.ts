/**
 * REINFORCE, RLOO, GRPO and its variants, RAFT, ReST and online DPO: each learns what it is rewarded for, and resumes
 * as if it had never stopped.
 */
import { expect, it } from 'vitest';
import { checkpointOf, fixtureModel, plain, take } from '../../../test/support/training.ts';
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
import { type AnswerLayout, answerLayout } from './answer-batches.ts';
import { createPolicyLearner, type PolicyStep } from './learner.ts';
import type { PolicyTrainingOptions } from './options.ts';

const llama = fixtureModel('tiny-llama');

/** The share of tokens with an even id: half of them at first. */
const evenness = ({ response }: Completion) => response.filter((id) => id % 2 === 0).length / response.length;
const reward: Reward = { name: 'even', score: async (answers) => answers.map(evenness) };

type Options = PolicyTrainingOptions & { answers: number };
type Make = (policy: LanguagePolicy, layout: AnswerLayout, options: never) => PolicyAlgorithm;

// steps are large for so small a model
const settings = { model: llama, maxKl: 10, batch: 4, maxTokens: 6, evaluations: 1, learningRate: 0.01, rows: 2 };
const grpo = (input: object) => grpoSchema.parse({ ...settings, steps: 12, epochs: 2, ...input });
const onlineDpo = (input: object) => ({
  ...onlineDpoSchema.parse({ ...settings, batch: 16, steps: 12, ...input }),
  answers: 2,
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

async function learnerOf(make: Make, options: Options) {
  const model = await loadModel(llama);
  const prompts = ['red sun', 'a', 'the capital of France is', 'cats', 'dogs are'].map((text) => ({
    ids: model.tokenizer.encode(text),
    text,
  }));
  const layout = answerLayout(model, prompts, options);
  const own = new Disposables();
  const policy = own.use(
    createLanguagePolicy(own.use(model), { lora: options.lora, reference: undefined, seed: options.seed }),
  );
  return createPolicyLearner({
    policy,
    reward,
    options,
    name: 'test',
    prompts,
    evaluationPrompts: Array.from({ length: 40 }, (_, i) => prompts[i % prompts.length]),
    layout,
    answersPerPrompt: options.answers,
    algorithm: make(policy, layout, options as never),
    own,
  });
}

/** What no clock touches. */

it.each(cases)('%s learns what is rewarded, and resumes from any step bit for bit', async (_, make, options) => {
  const whole = await learnerOf(make, options);
  const before = await whole.evaluate();
  const steps: PolicyStep[] = [];
  const half = options.steps / 2;
  let checkpoint: ReturnType<typeof whole.save> | undefined;
  while (steps.length < options.steps) {
    steps.push(await whole.next());
    if (steps.length !== half) continue;
    checkpoint = checkpointOf(whole);
  }
  const after = steps.at(-1)!.evaluation!;
  expect(after.reward).toBeGreaterThan(before.reward + 0.1);
  for (const { metrics } of steps) for (const value of Object.values(metrics)) expect(value).toSatisfy(Number.isFinite);

  const resumed = await learnerOf(make, options);
  resumed.restore(checkpoint!);
  expect(plain(await take(resumed, options.steps - half))).toEqual(plain(steps.slice(half)));
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
  expect(() => rlooSchema.parse({ ...settings, answers: 1 })).toThrow(/answers/);
  expect(() => reinforceSchema.parse({ ...settings, baseline: 'leave-one-out' })).toThrow(/2 or more/);
});

it('refuses episodes that are longer than the model reads, by the flag that sets their length', () => {
  const model = { config: { maxPositions: 128 }, tokenizer: {} } as Parameters<typeof answerLayout>[0];
  const unknown = [{ ids: [] }] as unknown as Parameters<typeof answerLayout>[1];
  expect(() => answerLayout(model, unknown, { rows: 1, maxTokens: 1024 })).toThrow(
    expect.objectContaining({
      message: expect.stringContaining('128'),
      hint: expect.stringContaining('--episode.tokens'),
    }),
  );
});
