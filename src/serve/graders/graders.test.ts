import { expect, test } from 'vitest';
import { type Grader, parseGrader } from './definition.ts';
import { parseFormula } from './formula.ts';
import { graderReward, openGrader } from './grade.ts';
import type { JavascriptLimits } from './javascript.ts';
import type { GraderModels } from './model-grader.ts';
import { sampleOf } from './template.ts';

/** Limits that no sound JavaScript reaches, however slow the machine is. */
const ample: Partial<JavascriptLimits> = { time: 240_000, patience: 240_000 };

const gradeOf = async (
  definition: object,
  text: string,
  item: unknown = {},
  models?: GraderModels,
  limits: Partial<JavascriptLimits> = ample,
) => {
  using grader = openGrader(parseGrader({ name: 'g', ...definition }), models, limits);
  return await grader.grade({ sample: sampleOf(text), item });
};

test('a formula knows precedence, powers and functions, and calls nothing else', () => {
  const of = (text: string, values = {}) => parseFormula(text).evaluate(values);
  expect(of('1 + 2 * 3 - 4 / 8')).toBe(6.5);
  expect(of('-2 ^ 2')).toBe(-4); // as in Python
  expect(of('2 ^ 3 ^ 2')).toBe(512);
  expect(of('2 ^ -1')).toBe(0.5);
  expect(of('max(a, 0.5, min(b, 2)) * sqrt(4) + abs(-1) + floor(1.5) + ceil(.5)', { a: 0, b: 3 })).toBe(7);
  expect(of('log(exp(1e0))')).toBe(1);
  expect(parseFormula('0.5 * x + x * y_2').names).toEqual(['x', 'y_2']);
  for (const [wrong, why] of [
    ['1 +', 'expected a number, a name or "(", got the end'],
    ['(1', 'expected ")"'],
    ['a b', 'expected an operator, got "b" at character 3'],
    ['constructor(1)', 'expected one of the functions'],
    ['toString', ''],
    ['a.b', 'wrong at character 2'],
    ['sqrt(1, 2)', 'one value for sqrt'],
    ['('.repeat(500), 'at most 100 levels'],
    ['1'.repeat(3000), '2000 characters'],
  ]) {
    if (why) expect(() => parseFormula(wrong), wrong).toThrow(why);
  }
  expect(parseFormula('toString').names).toEqual(['toString']);
});

test('string checks compare templates of the sample and the item', async () => {
  const check = { type: 'string_check', input: '{{ sample.output_text }}', reference: '{{item.answer}}' };
  const rewards = async (operation: string) => {
    const both = [gradeOf({ ...check, operation }, 'Paris, France', { answer: 'paris' })];
    both.push(gradeOf({ ...check, operation }, 'paris', { answer: 'paris' }));
    return (await Promise.all(both)).map(({ reward }) => reward);
  };
  expect(await rewards('eq')).toEqual([0, 1]);
  expect(await rewards('ne')).toEqual([1, 0]);
  expect(await rewards('like')).toEqual([0, 1]);
  expect(await rewards('ilike')).toEqual([1, 1]);

  const json = { ...check, operation: 'eq', input: "{{ sample.output_json.to[0]['name'] }}" };
  expect((await gradeOf(json, '{"to": [{"name": "x"}]}', { answer: 'x' })).reward).toBe(1);
  for (const text of ['not JSON', '{"to": []}', '{"to": "constructor"}']) {
    const { reward, errors } = await gradeOf(json, text, { answer: 'x' });
    expect([reward, errors[0].fault]).toEqual([0, 'sample_parse_error']);
  }
  expect((await gradeOf({ ...check, operation: 'eq' }, 'x', {})).errors[0].message).toContain('no {{ item.answer }}');
});

test('multi graders combine others by a formula; one that fails counts 0', async () => {
  const multi = {
    type: 'multi',
    graders: {
      same: { type: 'string_check', name: 'a', operation: 'eq', input: '{{sample.output_text}}', reference: 'a b' },
      close: {
        type: 'text_similarity',
        name: 'b',
        evaluation_metric: 'rouge_1',
        input: '{{sample.output_text}}',
        reference: 'a c',
      },
      json: { type: 'string_check', name: 'c', operation: 'eq', input: '{{sample.output_json.x}}', reference: '' },
    },
    calculate_output: '0.5 * same + 0.5 * close + json',
  };
  expect(await gradeOf(multi, 'a b')).toMatchObject({
    reward: 0.75,
    subRewards: { same: 1, close: 0.5, json: 0 },
    errors: [{ fault: 'sample_parse_error' }],
  });
  const { errors } = await gradeOf({ ...multi, calculate_output: '1 / json' }, 'a b');
  expect(errors.map(({ fault }) => fault)).toEqual(['sample_parse_error', 'other_error']);
});

test('JavaScript runs without files, modules, time or memory to waste', async () => {
  const of = async (body: string, text = 'abc', item: unknown = { n: 3 }, limits: Partial<JavascriptLimits> = {}) => {
    const source = `function grade(sample, item) { ${body} }`;
    const within = { ...ample, ...limits };
    const { reward, errors } = await gradeOf({ type: 'javascript', source }, text, item, undefined, within);
    return errors[0] ? errors[0].message : reward;
  };
  const limited = (body: string, limits: Partial<JavascriptLimits>) => of(body, '', {}, limits);
  expect(await of('return sample.output_text.length === item.n ? 0.5 : 0')).toBe(0.5);
  expect(await of('return Promise.resolve(sample.output_json.x)', '{"x": 2}')).toBe(2);
  expect(await of('return "1"')).toContain('a finite number, got string');
  expect(await of('return 0 / 0')).toContain('got NaN');
  expect(await of('throw new Error("no")')).toContain('throws: Error: no');
  expect(await of('return typeof process + typeof require + typeof fetch + typeof setTimeout')).toContain('got string');
  expect(await of('return new Promise(() => {})')).toContain('got promise');
  expect(await of('return eval("1")')).toContain('Code generation');
  expect(await limited('for (;;);', { time: 50 })).toContain('timed out');
  expect(await limited('return { then() { for (;;); } }', { time: 50 })).toContain('timed out');
  expect(await limited('for (;;);', { patience: 300 })).toBe('The grader took more than 0.3 s.');
  const growing = 'const all = []; for (;;) all.push(new Array(1e5).fill(all));';
  expect(await limited(growing, { memory: 32 })).toBe('The grader takes more than 32 MiB of memory.');
  // even with a way out of the context, nothing is there to be read or started
  const out =
    'const f = (e) => e.constructor.constructor; try { null.x } catch (e) { return f(e)("return process")() }';
  expect(await of(out)).toContain('throws: EvalError');
  using broken = openGrader(parseGrader({ type: 'javascript', name: 'g', source: 'function (' }), undefined, ample);
  expect((await broken.grade({ sample: sampleOf(''), item: {} })).errors[0].message).toContain('SyntaxError');
});

test('models give scores and labels, and nonsense counts 0', async () => {
  const asked: unknown[] = [];
  const saying = (text: string): GraderModels => ({
    async complete(model, query) {
      asked.push([model, query]);
      return { text, tokens: 7 };
    },
  });
  const score = {
    type: 'score_model',
    model: 'judge',
    range: [0, 10],
    input: [
      { role: 'developer', content: 'Be strict.' },
      { role: 'user', content: [{ type: 'input_text', text: 'Grade {{ sample.output_text }}' }] },
    ],
  };
  const good = await gradeOf(score, 'x', {}, saying('Well: {"result": 7.5}'));
  expect([good.reward, good.tokens]).toEqual([7.5, { judge: 7 }]);
  expect(asked[0]).toMatchObject([
    'judge',
    {
      messages: [
        { role: 'system', content: expect.stringMatching(/from 0 to 10[\s\S]*Be strict/) },
        { role: 'user', content: 'Grade x' },
      ],
    },
  ]);
  expect((await gradeOf(score, 'x', {}, saying('3'))).reward).toBe(3);
  for (const reply of ['{"result": 11}', 'fine', '{"result": ""}', '']) {
    expect((await gradeOf(score, 'x', {}, saying(reply))).errors[0].fault).toBe('model_grader_parse_error');
  }
  const label = { ...score, type: 'label_model', labels: ['good', 'bad'], passing_labels: ['good'] };
  expect((await gradeOf(label, 'x', {}, saying('{"result": "good"}'))).reward).toBe(1);
  expect((await gradeOf(label, 'x', {}, saying('bad'))).reward).toBe(0);
  expect((await gradeOf(label, 'x')).errors[0].fault).toBe('model_grader_server_error');
});

test('definitions are checked, and what does not run here says what to use', () => {
  const check = { type: 'string_check', name: 'g', input: '', reference: '', operation: 'eq' };
  const wrong = (definition: unknown) => () => parseGrader(definition);
  expect(wrong({ ...check, operation: 'is' })).toThrow('grader.operation');
  expect(wrong({ ...check, input: '{{ item }}' })).toThrow('is not a variable');
  expect(wrong({ ...check, input: '{{ other.x }}' })).toThrow('is not a variable');
  expect(wrong({ type: 'python', name: 'g', source: 'x' })).toThrow('JavaScript');
  expect(wrong({ ...check, type: 'text_similarity', evaluation_metric: 'cosine' })).toThrow('embeddings');
  expect(wrong({ type: 'multi', name: 'g', graders: { a: check }, calculate_output: 'a + b' })).toThrow('"b"');
  expect(wrong({ type: 'multi', name: 'g', graders: { a: { ...check, name: '' } }, calculate_output: 'a' })).toThrow(
    'grader.graders.a.name',
  );
  expect(wrong(undefined)).toThrow('grader');
  expect(parseGrader({ type: 'multi', name: 'g', graders: check, calculate_output: 'g' })).toMatchObject({
    graders: { g: check },
  });
});

test('a grader is a reward of completions; one that is broken stops the training', async () => {
  const completion = (text: string, row: Record<string, unknown>) => ({
    text,
    row,
    prompt: [],
    response: [],
    ended: true,
    promptText: '',
  });
  const source = 'const grade = (sample, item) => item.seen.push(JSON.parse(sample.output_text)) + item.bonus';
  const grader = { type: 'javascript', name: 'g', source } as Grader;
  const faults: string[] = [];
  using reward = graderReward(grader, { limits: ample, onFault: ({ fault }) => faults.push(fault) });
  const row = { seen: [], bonus: 2 };
  expect(await reward.score([completion('1', row), completion('{', row)])).toEqual(Float64Array.of(3, 0));
  expect(faults).toEqual(['python_grader_runtime_error']);
  await expect(reward.score([completion('{', row)])).rejects.toThrow('fails on every completion');
  using unknown = graderReward(
    parseGrader({ type: 'string_check', name: 'g', input: '{{item.x}}', reference: '', operation: 'eq' }),
  );
  await expect(unknown.score([completion('1', row)])).rejects.toThrow('item.x');
});
