import { expect, it } from 'vitest';
import type { RewardFunction } from './call.ts';
import type { Completion } from './reward-function.ts';
import { exactAnswer, matchesJsonSchema, matchesPattern, numericAnswer, weightedSum } from './verifiable.ts';

const completion = (text: string, row: object = {}): Completion => ({
  prompt: [1],
  response: [2],
  ended: true,
  promptText: 'a question',
  text,
  row: { ...row },
});
const scores = async (reward: RewardFunction, ...of: Completion[]) =>
  Array.from((await reward(of, new AbortController().signal)) as ArrayLike<number>);

it('compares whole answers, but for spaces and case', async () => {
  const paris = { answer: 'Paris' };
  expect(await scores(exactAnswer(), completion(' paris \n', paris), completion('Paris.', paris))).toEqual([1, 0]);
  expect(await scores(exactAnswer({ caseSensitive: true }), completion('paris', paris))).toEqual([0]);
  expect(await scores(exactAnswer({ field: 'any' }), completion('b', { any: ['a', 'b'] }))).toEqual([1]);
  await expect(async () => exactAnswer()([completion('x')], new AbortController().signal)).rejects.toThrow(
    'the row of "a question" has no column "answer": it has none',
  );
  await expect(async () =>
    exactAnswer()([completion('x', { solution: 1, level: 2 })], new AbortController().signal),
  ).rejects.toThrow('has no column "answer": it has solution, level');
});

it('reads the last number', async () => {
  const row = { answer: 1234.5 };
  const texts = ['It is 1,234.5', '7 and then 1234.5.', '1234.5 or 7', 'none', '-1234.5', '1.2345e3'];
  expect(await scores(numericAnswer(), ...texts.map((text) => completion(text, row)))).toEqual([1, 1, 0, 0, 0, 1]);
  expect(await scores(numericAnswer({ tolerance: 0.01 }), completion('1230', row))).toEqual([1]);
  await expect(async () =>
    numericAnswer()([completion('1', { answer: 'one' })], new AbortController().signal),
  ).rejects.toThrow('"answer" is "one", expected a number');
});

it('reads an answer inside a column, as in rows of verl', async () => {
  const row = { reward_model: { style: 'rule', ground_truth: '72' }, 'a.b': 3 };
  expect(await scores(numericAnswer({ field: 'reward_model.ground_truth' }), completion('72', row))).toEqual([1]);
  expect(await scores(numericAnswer({ field: 'a.b' }), completion('3', row))).toEqual([1]);
});

it.each<[unknown, string, number]>([
  ['Half of 48 is <<48/2=24>>24.\nIn all 48+24 = 72.\n#### 72', 'She sold 72 clips.', 1],
  ['#### 1,080', 'It makes $1,080.', 1],
  ['$18', '18 dollars', 1],
  ['-$5', '−5', 1],
  ['25 %', '25%', 1],
  ['1/2', 'It is 0.5', 1],
  [0.75, 'So \\boxed{\\frac{3}{4}}', 1],
  [4, 'So 3/4', 0],
  [12, '24/2 = 12', 1],
  [5, '5. 1/0', 1],
  [1e-7, '1e-7', 1],
  ['$4$', 'It is 4', 1],
  ['\\(1\\,000\\)', '1000', 1],
  ['\\$5', '$5', 1],
  ['$\\frac{3}{4}$', '0.75', 1],
  ['We add, so $3+4=\\boxed{7}$ in 2 steps.', 'It is \\boxed{7}, as 3 and 4 are 7. Step 2 of 2.', 1],
  ['\\boxed{\\dfrac{1}{2}}', 'First \\boxed{1}, no: $\\boxed{0.5}$', 1],
  [2, 'The answer is \\boxed{x = 3}. Not 2', 0],
])('reads the answer %j, and compares it with %j', async (answer, text, score) => {
  expect(await scores(numericAnswer(), completion(text, { answer }))).toEqual([score]);
});

it('matches patterns, whatever was matched before', async () => {
  expect(await scores(matchesPattern(/^\d+$/g), completion('12'), completion('12'), completion('a'))).toEqual([
    1, 1, 0,
  ]);
});

it('checks JSON by a schema', async () => {
  const schema = { type: 'object', properties: { x: { type: 'number' } }, required: ['x'] };
  const texts = ['{"x": 1}', '{"x": "1"}', '{}', '{"x": 1'];
  expect(await scores(matchesJsonSchema(schema), ...texts.map((text) => completion(text)))).toEqual([1, 0, 0, 0]);
  expect(await scores(matchesJsonSchema(), completion('[1]'), completion('no'))).toEqual([1, 0]);
  expect(() => matchesJsonSchema({ type: 'nothing' })).toThrow('The JSON schema cannot be read');
});

it('adds rewards up by their weights', async () => {
  const reward = weightedSum([
    { weight: 1, reward: numericAnswer() },
    { weight: 0.25, reward: matchesPattern(/^\d+$/) },
  ]);
  expect(await scores(reward, completion('4', { answer: 4 }), completion('It is 4', { answer: 4 }))).toEqual([1.25, 1]);
});
