/** Wrong calls of the library: each is refused with a sentence that names what the caller wrote, and says what to do. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ownFolder } from '../../test/support/heed.ts';
import * as align from '../align/index.ts';
import * as control from '../control/index.ts';
import { HeedError } from '../error.ts';
import * as lm from '../lm/index.ts';
import { rl } from '../rl/index.ts';

const folder = ownFolder();
const place = (name: string) => join(folder.path, name);
const data = [{ prompt: 'the gravy was', chosen: ' brilliant .', rejected: ' filthy .' }];
const prompts = [{ prompt: 'the gravy was' }];
const base = { model: 'reviews-base', data, steps: 1, evaluations: 0 };
const lengths = (completions: readonly { text: string }[]) => completions.map(({ text }) => text.length);

let model: lm.Model;
let gone: lm.Model;
let judge: align.RewardModel;
beforeAll(async () => {
  mkdirSync(place('empty'), { recursive: true });
  writeFileSync(place('broken.jsonl'), '{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": "a", \n');
  writeFileSync(place('other.csv'), 'question,good\nx,y\n');
  model = await lm.loadModel();
  gone = await lm.loadModel();
  gone[Symbol.dispose]();
  ({ model: judge } = await align.reward({ model: 'reviews-base', data, epochs: 1, evaluations: 0 }));
});
afterAll(() => {
  for (const one of [model, judge]) one[Symbol.dispose]();
});

// callers in JavaScript write anything
const { dpo, sft, ppo, kto, bestOfN, evaluatePolicy } = align as unknown as Record<
  string,
  (input?: unknown) => unknown
>;
const { learnFromPreferences, savePolicy, loadPolicy } = control as unknown as Record<
  string,
  (...args: unknown[]) => unknown
>;
const { loadModel, saveModel, saveAdapter } = lm as unknown as Record<string, (...args: unknown[]) => unknown>;
const { saveRewardModel, loadRewardModel } = align as unknown as Record<string, (...args: unknown[]) => unknown>;
const agent = rl as (input: unknown) => unknown;
const policy = (input: object) => ppo({ model, data: prompts, steps: 1, maxTokens: 4, evaluations: 0, ...input });

type Wrong = [what: string, call: () => unknown, message: RegExp, hint: RegExp];
const wrong: Wrong[] = [
  ['no options', () => dpo(), /expected an object of options, got undefined/, /one object/],
  [
    'a misspelt option',
    () => dpo({ ...base, learningrate: 1 }),
    /no option "learningrate"/,
    /did you mean "learningRate"/,
  ],
  ['a name of TRL', () => dpo({ ...base, per_device_train_batch_size: 1 }), /no option/, /did you mean "batch"/],
  ['a text for a number', () => dpo({ ...base, steps: '10' }), /steps: expected number, got "10"/, /./],
  ['not a number', () => dpo({ ...base, learningRate: Number.NaN }), /learningRate: expected number, got NaN/, /./],
  [
    'a negative number',
    () => sft({ model, data: prompts, steps: -5 }),
    /steps: expected a number not below 1, got -5/,
    /./,
  ],
  ['no await', () => dpo({ ...base, model: loadModel() }), /model is a Promise/, /await loadModel/],
  ['no rows', () => dpo({ ...base, data: [] }), /"data" has no comparison/, /at least one row/],
  [
    'a missing file',
    () => dpo({ ...base, data: 'nowhere.jsonl' }),
    /no file or folder "nowhere.jsonl"/,
    /Check the path/,
  ],
  ['a broken file', () => dpo({ ...base, data: place('broken.jsonl') }), /line 2: is not JSON/, /onBadRow/],
  ['other columns', () => dpo({ ...base, data: place('other.csv') }), /got the fields question, good/, /--rename/],
  [
    'rows of another kind',
    () => kto({ ...base, data: [{ prompt: 'a', completion: 'b' }] }),
    /row 1: has an unknown format/,
    /./,
  ],
  ['a missing model', () => dpo({ ...base, model: './nothing' }), /no folder "\.\/nothing"/, /Check the path/],
  ['a folder without a model', () => dpo({ ...base, model: place('empty') }), /has no tokenizer\.json/, /./],
  [
    'a number for a model',
    () => dpo({ ...base, model: 3 }),
    /model: expected the folder .*, got number/,
    /await loadModel/,
  ],
  ['a released model', () => dpo({ ...base, model: gone }), /disposed of/, /load it again/],
  ['a reward model for a model', () => dpo({ ...base, model: judge }), /gives scores/, /./],
  [
    'a controller for a signal',
    () => dpo({ ...base, signal: new AbortController() }),
    /signal: expected an AbortSignal/,
    /controller\.signal/,
  ],
  [
    'no reward for such prompts',
    () => ppo({ model, data: [{ prompt: 'Hello' }], steps: 1 }),
    /no such prompt/,
    /"reward"/,
  ],
  ['too few rewards', () => policy({ reward: () => [1] }), /gave 1 number.*: expected/, /for each completion/],
  [
    'rewards that are no numbers',
    () => policy({ reward: (all: []) => all.map(() => Number.NaN) }),
    /gave NaN/,
    /finite/,
  ],
  [
    'a result for a reward',
    () => policy({ reward: { model: judge, metrics: {} } }),
    /reward: expected a name, a function/,
    /\.model/,
  ],
  ['no baseline', () => evaluatePolicy({ model, data: prompts, reward: lengths }), /baseline is missing/, /./],
  [
    'too few completions',
    () => bestOfN({ model, data: prompts, reward: lengths, completions: -1 }),
    /not below 2, got -1/,
    /./,
  ],
  [
    'an option of OpenAI',
    () => model.generate('a', { max_tokens: 2 } as never),
    /no option "max_tokens"/,
    /"maxTokens"/,
  ],
  ['a number for a prompt', () => model.generate(3 as never), /prompt 1 is number/, /pass 'Hello'/],
  ['an option of loading', () => loadModel('reviews-base', { quantize: 4 }), /no option "quantize"/, /./],
  ['a model for a reward model', () => loadRewardModel('reviews-base'), /is a language model/, /heed reward/],
  ['a folder without a policy', () => loadPolicy(place('empty')), /is not a run/, /folder of a run/],
  [
    'arguments in the other order',
    () => saveModel(model, place('a')),
    /takes a folder first/,
    /saveModel\('models\/mine', model\)/,
  ],
  ['a model that was not awaited', () => saveModel(place('a'), loadModel()), /model is a Promise/, /await it/],
  [
    'a dtype of PyTorch',
    () => saveModel(place('a'), model, { dtype: 'float16' }),
    /expected one of F32, F16/,
    /float16 is F16/,
  ],
  ['a reward model as a model', () => saveModel(place('a'), judge), /is a reward model/, /saveRewardModel/],
  ['a model as a reward model', () => saveRewardModel(place('a'), model), /is a language model/, /./],
  ['a result for its model', () => saveRewardModel(place('a'), { model: judge }), /takes the model/, /result\.model/],
  [
    'an adapter that there is not',
    () => saveAdapter(place('a'), undefined),
    /takes the adapter to save, got undefined/,
    /./,
  ],
  [
    'a result for its policy',
    () => savePolicy(place('a'), { policy: { snapshot() {} } }),
    /takes the policy/,
    /result\.policy/,
  ],
  ['an unknown environment', () => agent({ env: 'CartPol-v1' }), /unknown environment/, /did you mean CartPole-v1/],
  ['a misspelt setting', () => agent({ ppo: { clipp: 1 } }), /no option "ppo\.clipp"/, /did you mean "clip"/],
  ['a misspelt teacher', () => learnFromPreferences({ teacher: 'humna' }), /no teacher 'humna'/, /human/],
  [
    'fewer than no labels',
    () => learnFromPreferences({ labels: -1 }),
    /labels: expected a number not below 0, got -1/,
    /./,
  ],
  ['the package itself', () => import('../index.ts'), /itself exports nothing/, /'heed\/align'/],
];

it.each(wrong)('%s', async (_, call, message, hint) => {
  const error = await (async () => call())().then(
    () => expect.fail('it was taken'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(HeedError);
  expect(error).toMatchObject({ message: expect.stringMatching(message), hint: expect.stringMatching(hint) });
});

it('a signal that aborted before the start is an AbortError without a result', async () => {
  const training = align.dpo({ ...base, signal: AbortSignal.abort('enough') });
  await expect(training).rejects.toMatchObject({ name: 'AbortError', cause: 'enough', partial: undefined });
});
