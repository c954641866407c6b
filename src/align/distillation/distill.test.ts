import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkpointOf, fixtureModel, ownData, plain, smallModel, take } from '../../../test/support/training.ts';
import { loadModel, saveModel } from '../../lm/model.ts';
import { sft } from '../supervised/sft.ts';
import { createDistill, type DistillInput, distill } from './distill.ts';

const { folder, dataOf } = ownData();
const teacher = join(folder, 'teacher');
const words = ['red', 'blue', 'sun', 'moon', 'cat', 'dog'];
const rows = Array.from({ length: 24 }, (_, i) => ({
  prompt: `${words[i % 6]} `,
  completion: `${words[(i * 5 + 1) % 6]} ${words[(i * 7 + 2) % 6]}`,
}));
const data = dataOf(rows);
const prompts = dataOf(rows.map(({ prompt }) => ({ prompt })));

const llama = smallModel();
const small = { rows: 2, length: 24, evaluations: 1, samples: { count: 0 } };

// a teacher that is sure of what it writes
beforeAll(async () => {
  using model = await loadModel(llama);
  await sft({ ...small, model, data, steps: 30, learningRate: 5e-3, evaluation: { share: 0 } });
  saveModel(teacher, model);
});

const settings: DistillInput = {
  ...small,
  model: llama,
  teacher,
  data,
  steps: 8,
  learningRate: 4e-3,
  drawing: { maxTokens: 8 },
};

it.each<[string, DistillInput]>([
  ['forward KL', settings],
  ['reverse KL with adapters', { ...settings, divergence: 'reverse', lora: { rank: 4 }, learningRate: 2e-2 }],
  ['JSD on its own completions', { ...settings, divergence: 'jsd', beta: 0.3, temperature: 2, onPolicy: 1 }],
  ["the teacher's texts", { ...settings, data: prompts, texts: 'teacher', divergence: 'none' }],
])('comes closer to the teacher by %s', async (_, input) => {
  using model = await loadModel(llama);
  using live = await loadModel(teacher);
  const before = live.parameters.flat.slice();
  const learner = await createDistill({ ...input, model, teacher: live });
  const { loss: first } = await learner.evaluate();
  const steps = await take(learner, 8);
  const { evaluation } = steps.at(-1)!;
  expect(steps.at(-1)!.done).toBe(true);
  expect(first).toBeGreaterThan(0);
  expect(evaluation!.loss!).toBeLessThan(0.9 * first!);
  expect(evaluation!.perplexity === undefined).toBe(input.divergence !== 'none');
  expect(live.parameters.flat).toEqual(before);
  learner[Symbol.dispose]();
});

it('finds no divergence of a model from itself', async () => {
  using live = await loadModel(teacher);
  const learner = await createDistill({ ...settings, model: live, divergence: 'jsd' });
  const { loss } = await learner.evaluate();
  expect(Math.abs(loss!)).toBeLessThan(1e-5);
  learner[Symbol.dispose]();
});

it('resumes bit for bit, on-policy in half of the steps', async () => {
  const input: DistillInput = { ...settings, data: prompts, texts: 'teacher', divergence: 'jsd', onPolicy: 0.5 };
  const whole = await createDistill(input);
  await take(whole, 2);
  const checkpoint = checkpointOf(whole);
  const after = await take(whole, 3);
  const resumed = await createDistill(input);
  resumed.restore(checkpoint);
  expect(plain(await take(resumed, 3))).toEqual(plain(after));
  expect(resumed.model.parameters.flat).toEqual(whole.model.parameters.flat);
  for (const learner of [whole, resumed]) learner[Symbol.dispose]();
});

describe('refuses', () => {
  it.each<[string, Partial<DistillInput>, RegExp]>([
    [
      'a teacher with other tokens',
      { teacher: fixtureModel('tiny-gpt2') },
      /The teacher ".*tiny-gpt2" has a different voc/,
    ],
    ['an address without the word endpoint', { teacher: 'http://localhost:8000/v1' }, /or an endpoint/],
    ['a teacher that gives scores', { teacher: smallModel('tiny-llama-rm') }, /The teacher gives scores/],
    ['likelihood of no texts of the teacher', { divergence: 'none' }, /texts.*expected "teacher"/],
    [
      'likelihood of its own texts',
      { divergence: 'none', texts: 'teacher', onPolicy: 0.5 },
      /onPolicy.*expected 0 with divergence none/,
    ],
    ['completions without prompts', { data: dataOf([{ text: 'red' }, { text: 'sun' }]), onPolicy: 1 }, /needs prompts/],
    ['a mixture of one model', { divergence: 'jsd', beta: 1 }, /beta/],
  ])('%s', async (_, input, message) => {
    await expect((async () => createDistill({ ...settings, ...input }))()).rejects.toThrow(message);
  });

  it('the student as its own teacher', async () => {
    using model = await loadModel(teacher);
    await expect(distill({ ...settings, model, teacher: model })).rejects.toThrow(/the student are one model/);
  });
});
