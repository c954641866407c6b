import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkpointOf, ownData, plain, smallModel, take } from '../../../test/support/training.ts';
import { loadModel } from '../../lm/model.ts';
import { random } from '../../random.ts';
import type { LanguageStep } from './learner.ts';
import { createSft, type SftInput, type SftLearner, sft } from './sft.ts';

const llama = smallModel();
const { folder, dataOf } = ownData();

const draws = random(0, 'data');
const letters = ['red', 'blue', 'sun', 'moon', 'cat', 'dog'];
const sentence = () => Array.from({ length: 2 + draws.integer(8) }, () => letters[draws.integer(6)]).join(' ');
const texts = dataOf(Array.from({ length: 60 }, () => ({ text: sentence() })));

const settings: SftInput = {
  model: llama,
  data: texts,
  rows: 2,
  length: 48,
  steps: 8,
  evaluations: 2,
  samples: { count: 2, maxTokens: 4 },
};

const weights = ({ model }: SftLearner) => Array.from(model.parameters.flat);

it('lowers the loss on texts it has not seen, evaluates when due, and shows what it writes', async () => {
  const steps: LanguageStep[] = [];
  for await (const step of sft({ ...settings, steps: 30, learningRate: 5e-3, evaluations: 3 })) steps.push(step);
  expect(steps).toHaveLength(30);
  const evaluated = steps.filter(({ evaluation }) => evaluation);
  expect(evaluated.map(({ step }) => step)).toEqual([10, 20, 30]);
  const [first, , last] = evaluated.map(({ evaluation }) => evaluation!);
  expect(last.loss!).toBeLessThan(first.loss!);
  expect(last.loss!).toBeLessThan(2.5); // it begins with some 6.8
  expect(last.perplexity).toBeCloseTo(Math.exp(last.loss!), 9);
  expect(last.best).toBe(true);
  expect(last.samples).toHaveLength(2);
  expect(last.samples[0].reference).toBeDefined();
  expect(steps.at(-1)!.done).toBe(true);
});

it('trains adapters beside weights that stay as they are, and writes them merged and by themselves', async () => {
  const base = await loadModel(llama);
  const before = base.parameters.flat.slice();
  const input = { ...settings, steps: 20, learningRate: 2e-2, lora: { rank: 4, targets: 'q_proj,v_proj,down_proj' } };
  const learner = await createSft({ ...input, model: base });
  const steps = await take(learner, 20);
  const [first, last] = steps.filter(({ evaluation }) => evaluation).map(({ evaluation }) => evaluation!.loss!);
  expect(last).toBeLessThan(first);
  expect(base.parameters.flat).toEqual(before);
  expect(Object.keys(learner.save().tensors)).toContain('model.layers.0.mlp.down_proj.lora_B.weight');
  const out = join(folder, 'lora');
  learner.saveModel(join(out, 'model'));
  learner[Symbol.dispose]();
  const [merged, adapted] = await Promise.all([loadModel(join(out, 'model')), loadModel(join(out, 'adapter'))]);
  expect(adapted.parameters.flat).toEqual(merged.parameters.flat);
  expect(merged.parameters.flat).not.toEqual(before);
  for (const { parameters } of [merged, adapted]) parameters[Symbol.dispose]();
  await expect(createSft({ ...settings, lora: { rank: 4, targets: 'c_attn' } })).rejects.toThrow(
    /cannot adapt "c_attn"/,
  );
});

it('resumes from any step bit for bit', async () => {
  const whole = await createSft(settings);
  const before = await take(whole, 3);
  const checkpoint = checkpointOf(whole);
  const after = await take(whole, 5);
  const resumed = await createSft(settings);
  resumed.restore(checkpoint);
  expect(plain(await take(resumed, 5))).toEqual(plain(after));
  expect(weights(resumed)).toEqual(weights(whole));
  const again = await createSft(settings);
  expect(plain(await take(again, 3))).toEqual(plain(before));
  const other = await createSft({ ...settings, seed: 1 });
  expect(plain(await take(other, 3))).not.toEqual(plain(before));
  const changed = await createSft({ ...settings, data: dataOf([{ text: 'red sun' }, { text: 'blue moon' }]) });
  expect(() => changed.restore(checkpoint)).toThrow(/data are not those/);
  for (const learner of [whole, resumed, again, other, changed]) learner[Symbol.dispose]();
});

it('a batch in parts is the batch, but for rounding', async () => {
  const learners = await Promise.all([
    createSft({ ...settings, rows: 4 }),
    createSft({ ...settings, rows: 2, accumulate: 2 }),
    createSft({ ...settings, rows: 4, checkpointLayers: true }),
  ]);
  const [whole, ...others] = await Promise.all(learners.map((learner) => take(learner, 2)));
  for (const steps of others) {
    expect(steps[1].loss).toBeCloseTo(whole[1].loss, 5);
    expect(steps[1].gradientNorm).toBeCloseTo(whole[1].gradientNorm, 4);
  }
  for (const learner of learners) learner[Symbol.dispose]();
});

it('stops early once the held-out loss no longer falls, and knows which was the best', async () => {
  const evaluation = { data: dataOf([{ text: 'What is the capital of France?' }]) };
  const steps: LanguageStep[] = [];
  const input = { ...settings, evaluation, steps: 200, evaluations: 100, patience: 3, learningRate: 0.02 };
  for await (const step of sft(input)) steps.push(step);
  const evaluated = steps.flatMap(({ evaluation }) => evaluation ?? []);
  expect(steps.length).toBeLessThan(200);
  expect(steps.at(-1)!.done).toBe(true);
  expect(evaluated.slice(-4).map(({ best }) => best)).toEqual([true, false, false, false]);
  const lowest = Math.min(...evaluated.map(({ loss }) => loss!));
  expect(evaluated.at(-4)!.loss).toBe(lowest);
});

it('stops when the signal aborts', async () => {
  const controller = new AbortController();
  let steps = 0;
  for await (const _ of sft({ ...settings, signal: controller.signal })) if (++steps === 2) controller.abort();
  expect(steps).toBe(2);
});

describe('how long it trains', () => {
  it.each([
    ['epochs of rows', { steps: undefined, epochs: 2, packing: false, evaluation: { share: 0 } }, 60],
    [
      'in batches of parts',
      { steps: undefined, epochs: 1, packing: false, accumulate: 3, evaluation: { share: 0 } },
      10,
    ],
    ['less what is held out', { steps: undefined, epochs: 1, packing: false, evaluation: { share: 0.5 } }, 15],
    ['steps', { steps: 5 }, 5],
  ])('%s', async (_, input: SftInput, steps) => {
    const learner = await createSft({ ...settings, ...input });
    expect(learner.steps).toBe(steps);
    learner[Symbol.dispose]();
  });
});

it('computes no more rows at once than there are', async () => {
  const data = dataOf([{ text: 'red sun' }, { text: 'blue moon' }]);
  const learner = await createSft({
    ...settings,
    data,
    rows: 64,
    steps: undefined,
    epochs: 3,
    evaluation: { share: 0 },
  });
  expect(learner.steps).toBe(3);
  const [{ tokens }] = await take(learner, 1);
  expect(tokens).toBeLessThan(20);
  learner[Symbol.dispose]();
});

it('gives notice of rows that were left out or cut', async () => {
  const notices: string[] = [];
  const data = dataOf([{ text: sentence() }, { text: '' }, { text: sentence().repeat(20) }, { text: sentence() }]);
  const onNotice = (text: string) => void notices.push(text);
  const learner = await createSft({ ...settings, data, onBadRow: 'skip', onNotice });
  learner[Symbol.dispose]();
  expect(notices).toEqual([
    expect.stringMatching(/: 3 rows, language-modeling; \d+ % of \d+ tokens are learned, \d+ % were cut$/),
    expect.stringMatching(/: left out 1 row with errors, the first: .*line 2: "text" is empty/),
    expect.stringMatching(/: cut 1 row longer than 48 tokens \(--length, --truncate\)$/),
  ]);
  await expect(createSft({ ...settings, data })).rejects.toThrow(/line 2: "text" is empty/);
});

it('fine-tunes the embedded model on demonstrations of its world by default', async () => {
  const learner = await createSft({ demonstrations: 60, steps: 3, samples: { maxTokens: 4, count: 1 } });
  const steps = await take(learner, 3);
  expect(steps[2].loss).toBeLessThan(steps[0].loss);
  const { measures, samples } = steps[2].evaluation!;
  expect(measures).toEqual({ 'reward/true': expect.any(Number), 'text/accepted': expect.any(Number) });
  expect(samples[0].prompt).toMatch(/^please write a short review of the \w+ \.$/);
  learner[Symbol.dispose]();
});

it('completes the prompts of a file, and evaluates examples longer than its rows', async () => {
  const long = dataOf([{ text: 'red sun '.repeat(30) }]);
  const samples = { data: dataOf([{ prompt: 'red' }, { prompt: 'blue moon' }]), count: 5, maxTokens: 4 };
  const none = await createSft({ ...settings, samples: { count: 0 } });
  expect(await none.evaluate()).toMatchObject({ samples: [], measures: {} });
  none[Symbol.dispose]();
  const learner = await createSft({ ...settings, length: undefined, evaluation: { data: long }, samples });
  const { tokens, samples: completions } = await learner.evaluate();
  expect(tokens).toBeGreaterThan(48);
  expect(completions.map(({ prompt }) => prompt)).toEqual(['red', 'blue moon']);
  learner[Symbol.dispose]();
});

it('refuses rows longer than the model was made for, whatever its positions are', async () => {
  await expect(createSft({ ...settings, length: 4096 })).rejects.toThrow(/--length is 4096 .* has \d+ positions/);
});

describe('says what is wrong with', () => {
  const broken = (name: string, change: (path: string) => void) => {
    const path = join(folder, name);
    cpSync(llama, path, { recursive: true });
    change(path);
    return path;
  };
  const larger = (path: string) => {
    const file = join(path, 'tokenizer.json');
    const json = JSON.parse(readFileSync(file, 'utf8'));
    json.added_tokens.push({ ...json.added_tokens[0], id: 600, content: '<more>' });
    writeFileSync(file, JSON.stringify(json));
  };
  mkdirSync(join(folder, 'empty'));
  it.each<[string, SftInput, RegExp]>([
    ['a model that is not there', { model: join(folder, 'nothing') }, /There is no folder/],
    ['a folder without a model', { model: join(folder, 'empty') }, /has no tokenizer.json/],
    [
      'a tokenizer that is none',
      { model: broken('a', (p) => writeFileSync(join(p, 'tokenizer.json'), '<html>')) },
      /not JSON/,
    ],
    ['a tokenizer of another model', { model: broken('b', larger) }, /has 601 tokens, but the model has 512/],
    ['an empty dataset', { data: dataOf([]) }, /has no rows/],
    [
      'data of another format',
      { data: dataOf([{ chosen: 'a', rejected: 'b' }]) },
      /expected language-modeling or prompt/,
    ],
    ['a loss the data does not know', { loss: 'assistant' }, /line 1: The loss is over "assistant"/],
  ])('%s', async (_, input, message) => {
    await expect(createSft({ ...settings, ...input })).rejects.toThrow(message);
  });
});
