/** Training on data in memory, with a model of the caller's: what heed/align is for. */
import { afterAll, describe, expect, it } from 'vitest';
import { smallModel } from '../../../test/support/training.ts';
import type { PreferenceRow } from '../../data/index.ts';
import { logSigmoid, mul, neg } from '../../engine/index.ts';
import { HeedError } from '../../error.ts';
import { loadModel } from '../../lm/model.ts';
import { grpo } from '../policy-gradient/grpo.ts';
import { ppo } from '../ppo/learner.ts';
import { dpo } from '../preferences/dpo.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { reward } from '../reward-model/reward.ts';
import { openReward } from '../rewards/open.ts';
import { sft } from '../supervised/sft.ts';

const pairs = Array.from({ length: 12 }, (_, i): PreferenceRow => {
  return { prompt: `Say ${i % 4}:`, chosen: ' red sun', rejected: ' cat dog' };
});
const evaluation = { share: 0.25, prompts: 1, samples: 1, maxTokens: 4 };
const tiny = { batch: 4, part: 2, steps: 3, evaluations: 1, evaluation };
const model = await loadModel(smallModel());
afterAll(() => model[Symbol.dispose]());

const written = (length: number) => model.generate('Say 1:', { chat: false, maxTokens: length, temperature: 0 });

describe('a model that is passed', () => {
  it('is trained in place, stays usable, and is the result', async () => {
    const before = Array.from(model.parameters.flat.subarray(0, 500));
    const result = await dpo({ ...tiny, model, data: pairs, learningRate: 1e-2 });
    expect(result.model).toBe(model);
    expect(result.steps).toBe(3);
    expect(result.metrics).toMatchObject({
      'loss/train': expect.any(Number),
      'rewards/margins': expect.any(Number),
      'loss/eval': expect.any(Number),
      'eval/rewards/accuracies': 1,
    });
    expect(Array.from(model.parameters.flat.subarray(0, 500))).not.toEqual(before);
    expect(await written(4)).toEqual(expect.any(String));
  });

  it('has adapters merged in, so that it writes as the policy that was trained', async () => {
    const before = Array.from(model.parameters.flat);
    const data = Array.from({ length: 8 }, () => ({ prompt: 'Say 1:', completion: ' red sun' }));
    const training = sft({ model, data, lora: { rank: 4 }, steps: 40, learningRate: 2e-2, evaluations: 0 });
    const losses: number[] = [];
    for await (const { loss } of training) losses.push(loss);
    expect(losses.at(-1)).toBeLessThan(losses[0]);
    expect((await training).model).toBe(model);
    expect(Array.from(model.parameters.flat)).not.toEqual(before);
    expect(await written(8)).toContain('red sun');
    expect(await model.generate(['Say 1:', 'Say 2:'], { chat: false, maxTokens: 2 })).toHaveLength(2);
  });
});

it('takes rewards that are functions, reward models or ensembles, and leaves them the caller’s', async () => {
  const { model: judge, members, metrics } = await reward({ model, data: pairs, members: 2, epochs: 1, batch: 4 });
  expect(members[0]).toBe(judge);
  expect(metrics['accuracy/eval']).toEqual(expect.any(Number));
  const [better, worse] = await judge.score('Say 1:', [' red sun', ' cat dog']);
  expect(better).not.toBe(worse);
  const policy = { model, data: [{ prompt: 'Say 1:' }], maxTokens: 4, batch: 4, steps: 1, evaluations: 0 };
  const length = (completions: readonly Completion[]) => completions.map(({ text }) => text.length);
  await grpo({ ...policy, reward: length, completions: 2, minibatches: 1 });
  await ppo({ ...policy, reward: judge, gold: members, ppo: { minibatch: 4 } });
  const again = await openReward(members);
  const completion = { prompt: [], response: [], ended: true, promptText: 'Say 1:', text: ' red sun' };
  const [own, other] = [await judge.score('Say 1:', ' red sun'), await members[1].score('Say 1:', ' red sun')];
  expect((await again.score([completion]))[0]).toBeCloseTo((own + other) / 2, 5);
  for (const one of [again, ...members]) one[Symbol.dispose]();
});

it('reads rows of any iterable, and gives a model of its own where one is named', async () => {
  async function* rows() {
    yield* pairs;
  }
  const result = await dpo({ ...tiny, model: smallModel(), data: rows(), steps: 1 });
  expect(await result.model.generate('Say 1:', { maxTokens: 2, chat: false })).toEqual(expect.any(String));
  result.model[Symbol.dispose]();
});

it('takes losses and advantages that are functions', async () => {
  const terms: string[] = [];
  const own = await dpo({
    ...tiny,
    model,
    data: pairs,
    steps: 1,
    loss({ margin, beta }) {
      terms.push('pairs');
      return neg(logSigmoid(mul(margin, beta)));
    },
  });
  const named = await dpo({ ...tiny, model, data: pairs, steps: 1, loss: ['sigmoid'] });
  expect(own.metrics['loss/train']).toEqual(expect.any(Number));
  expect(named.metrics['loss/train']).toEqual(expect.any(Number));
  await grpo({
    model,
    data: [{ prompt: 'Say 1:' }],
    maxTokens: 4,
    batch: 4,
    steps: 1,
    evaluations: 0,
    completions: 2,
    reward: (completions) => completions.map(({ text }) => text.length),
    loss({ ratio, advantage, weightedSums }) {
      terms.push('policy');
      return weightedSums(mul(ratio, advantage));
    },
    advantages(rewards, { size }) {
      terms.push(`advantages by ${size}`);
      return Array.from(rewards, (_, i) => (i % size === 0 ? 1 : -1));
    },
  });
  expect(new Set(terms)).toEqual(new Set(['pairs', 'policy', 'advantages by 2']));
  await expect(dpo({ ...tiny, model, data: pairs, loss: 'none' })).rejects.toThrow(
    'loss: expected one or several, separated by commas, of sigmoid',
  );
  await expect(grpo({ model, data: [{ prompt: 'a' }], advantages: 'none', reward: () => [0] })).rejects.toThrow(
    'advantages: expected one of group, leave-one-out, mean, got "none"',
  );
});

describe('what is wrong is a HeedError that names', () => {
  const failing = (more: object) => dpo({ ...tiny, model, data: pairs, ...more }).then(undefined, (error) => error);
  it.each<[string, object, string]>([
    ['an option that does not exist', { bta: 1 }, 'there is no option "bta"'],
    ['the option', { beta: -1 }, 'beta: expected a number above 0, got -1'],
    [
      'the row and its field',
      { data: [...pairs, { prompt: 'a', chosen: 'b' }] },
      'data, row 13: "rejected" is missing',
    ],
    [
      'a row that is none',
      { data: [...pairs, 'a'] },
      'data, row 13: expected an object with the columns of a row, got "a"',
    ],
    [
      'data that is none',
      { data: { prompt: () => 'a' } },
      'data: expected a path, or an array or another iterable of rows',
    ],
    ['a model that is none', { model: { generate: () => '' } }, 'model: expected the folder or the name of a model'],
    [
      'a held-out row',
      { evaluation: { data: [{ prompt: 'a', chosen: 'b', rejected: 'b' }] } },
      'evaluation.data, row 1: ',
    ],
  ])('%s', async (_, more, message) => {
    const error = await failing(more);
    expect(error).toBeInstanceOf(HeedError);
    expect(error.message).toContain(message);
  });
});
