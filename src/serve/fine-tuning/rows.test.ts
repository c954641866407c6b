import { expect, test } from 'vitest';
import { rates } from '../../align/training/steps.ts';
import { methodOf, methodSchema, trainingPlan } from './methods.ts';
import { adoptRow } from './rows.ts';

const says = (role: string, content: unknown) => ({ role, content });

test('rows of each method become rows of heed, with tools, weights and parts of text', () => {
  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  const call = { id: '1', type: 'function', function: { name: 'f', arguments: '{"x": 1}' } };
  const row = {
    messages: [
      says('developer', [
        { type: 'text', text: 'Be ' },
        { type: 'text', text: 'brief.' },
      ]),
      says('user', 'Hi'),
      { role: 'assistant', content: null, tool_calls: [call], weight: 0 },
      { role: 'tool', content: '2', tool_call_id: '1' },
      says('assistant', 'Two'),
    ],
    tools,
  };
  expect(adoptRow('supervised', row)).toMatchObject({
    tools,
    messages: [
      says('developer', 'Be brief.'),
      says('user', 'Hi'),
      { content: '', weight: 0, tool_calls: [{ function: { name: 'f', arguments: '{"x": 1}' } }] },
      says('tool', '2'),
      says('assistant', 'Two'),
    ],
  });
  const pair = {
    input: { messages: [says('user', 'Hi')], tools: [] },
    preferred_output: [says('assistant', 'a')],
    non_preferred_output: [says('assistant', 'b')],
  };
  expect(adoptRow('dpo', pair)).toEqual({
    prompt: [says('user', 'Hi')],
    chosen: [says('assistant', 'a')],
    rejected: [says('assistant', 'b')],
  });
  const calling = { role: 'assistant', content: null, tool_calls: [call] };
  const text = [{ type: 'text', text: 'a' }];
  const called = { ...pair, preferred_output: [calling], non_preferred_output: [says('assistant', text)] };
  expect(adoptRow('dpo', called)).toMatchObject({
    chosen: [{ tool_calls: [{ function: { name: 'f' } }] }],
    rejected: [says('assistant', 'a')],
  });
  const prompt = { messages: [says('user', 'Hi')], answer: { text: 'x' } };
  expect(adoptRow('reinforcement', prompt, [['answer', 'text']])).toEqual({ prompt: prompt.messages, item: prompt });
});

test.each([
  ['supervised', {}, 'messages is missing'],
  [
    'supervised',
    { messages: [says('user', 'x'), { ...says('user', 'y'), weight: 1 }] },
    'messages[1].weight expected 0 or 1',
  ],
  [
    'supervised',
    { messages: [says('user', 'x'), says('assistant', 'y')], functions: [] },
    'functions is not read here',
  ],
  [
    'supervised',
    { messages: [says('user', 'x'), says('assistant', 'y')], tools: 'f' },
    'tools expected a list of tools',
  ],
  ['dpo', { messages: [] }, 'input is missing'],
  [
    'dpo',
    { input: { messages: [says('user', 'x')] }, preferred_output: [says('assistant', 'y')] },
    'non_preferred_output is missing',
  ],
  [
    'dpo',
    {
      input: { messages: [says('user', 'x')] },
      preferred_output: [says('user', 'y')],
      non_preferred_output: [says('assistant', 'z')],
    },
    'preferred_output has no message by the assistant',
  ],
  ['reinforcement', { messages: [says('assistant', 'x')] }, 'messages[0].role expected user at the end'],
  ['reinforcement', { messages: [says('user', 'x')] }, 'answer is missing, and the grader reads it'],
] as const)('a row for %s that is wrong has a field and a reason: %j', (method, row, expected) => {
  const { field, reason } = adoptRow(method, row, [['answer', 'text']]) as { field: string; reason: string };
  expect(`${field} ${reason}`).toContain(expected);
});

test('hyper-parameters become options of heed; auto leaves them to heed', () => {
  const of = (method: object) => methodOf(methodSchema.parse(method), undefined);
  const auto = trainingPlan(methodOf(undefined, undefined), 100, { heldOut: false });
  expect(auto).toMatchObject({ command: 'sft', epochs: 3, options: { epochs: 3, rows: 8 } });
  expect(auto.options).not.toHaveProperty('packing');
  const hyperparameters = { n_epochs: 2, batch_size: 12, learning_rate_multiplier: 0.5 };
  expect(
    trainingPlan(of({ type: 'supervised', supervised: { hyperparameters } }), 100, { heldOut: true }).options,
  ).toMatchObject({
    epochs: 2,
    rows: 6,
    accumulate: 2,
    packing: false,
    learningRateFactor: 0.5,
    evaluations: 2,
  });
  const reinforcement = { grader: {}, hyperparameters: { batch_size: 8, compute_multiplier: 2, eval_interval: 10 } };
  expect(trainingPlan(of({ type: 'reinforcement', reinforcement }), 20, { heldOut: false })).toMatchObject({
    command: 'grpo',
    epochs: 20,
    options: { steps: 50, batch: 8, completions: 8, evaluations: 5 },
  });
  expect(() => of({ type: 'dpo', supervised: { hyperparameters } })).toThrow('"method.supervised" is set');
  const settings = {
    schedule: 'constant',
    minimumRate: 0,
    warmup: 0,
    weightDecay: 0,
    beta2: 0.9,
    maxGradientNorm: 1,
    evaluations: 1,
  };
  expect(rates(0.1, 4, { ...settings, learningRateFactor: 3 })(1)).toBeCloseTo(0.3);
});
