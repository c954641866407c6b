/** What a client sends must not keep the server from everybody else: nothing is computed on the event loop for long. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { expect, inject, it } from 'vitest';
import { ownFolder } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const tiny = smallModel();
const folder = ownFolder();

/** Processor time of the main thread, in ms. Linux counts it in steps of 10 ms. */
const processorTime = (): number => {
  const [utime, stime] = readFileSync(`/proc/self/task/${process.pid}/stat`, 'utf8')
    .split(') ')[1]
    .split(' ')
    .slice(11, 13);
  return 10 * (Number(utime) + Number(stime));
};
/** The most processor time of one turn of the event loop. */
const MOST = 500;

const text = (length: number, word = 'a') => word.repeat(Math.ceil(length / word.length)).slice(0, length);
const nested = (depth: number): object => {
  let schema: object = { type: 'string' };
  for (let i = 0; i < depth; i++) schema = { type: 'object', properties: { a: schema }, required: ['a'] };
  return schema;
};
const numbered = (count: number, make: (i: number) => unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, make(i)]));

const schemas: Record<string, object> = {
  'an enum of 25,000': { enum: Array.from({ length: 25_000 }, (_, i) => `value number ${i}`) },
  'an enum of 80,000': { enum: Array.from({ length: 80_000 }, (_, i) => `v${i}`) },
  'an enum of numbers': { enum: Array.from({ length: 90_000 }, (_, i) => i) },
  'a long constant': { const: text(900_000) },
  '5,000 optional properties': { type: 'object', properties: numbered(5000, () => ({ type: 'string' })) },
  '5,000 required properties': {
    type: 'object',
    properties: numbered(5000, () => ({ type: 'integer' })),
    required: Object.keys(numbered(5000, () => 1)),
  },
  'counted optional properties': {
    type: 'object',
    properties: numbered(1000, () => ({})),
    minProperties: 300,
    maxProperties: 400,
  },
  'objects 200 deep': nested(200),
  'objects 1,200 deep': nested(1200),
  '3,000 alternatives': {
    anyOf: Array.from({ length: 3000 }, (_, i) => ({
      type: 'object',
      properties: { k: { const: i } },
      required: ['k'],
    })),
  },
  'alternatives of alternatives': {
    allOf: Array.from({ length: 16 }, (_, i) => ({ anyOf: [{ minLength: i }, { maxLength: 100 + i }] })),
    type: 'string',
  },
  'alternatives of integers': {
    allOf: Array.from({ length: 12 }, (_, i) => ({ oneOf: [{ minimum: i }, { maximum: -i }] })),
    type: 'integer',
  },
  'a catastrophic pattern': { type: 'string', pattern: '^(a|aa)+$', maxLength: 5000 },
  'nested repetitions': { type: 'string', pattern: '^((a+)+)+b$' },
  'optional repetitions': { type: 'string', pattern: '^(a?){60}a{60}$' },
  'a pattern that must be found': { type: 'string', pattern: '(.*a){12}' },
  'an exponential automaton': { type: 'string', pattern: '(a|b)*a(a|b){16}c' },
  'letters of all scripts': { type: 'string', pattern: '^\\p{L}{1,500}\\p{N}{1,500}$' },
  'looks ahead': { type: 'string', pattern: '^(?=.*a)(?=.*b)(?=.*c)(?=.*d)(?=.*e)(?=.*f)(?=.*g).{50,100}$' },
  'negative looks ahead': { type: 'string', pattern: '^(?!.*a.*b)(?!.*c.*d)(?!.*e.*f)[a-z]{1,200}$', minLength: 100 },
  'a pattern of 100,000 characters': {
    type: 'string',
    pattern: `^(${Array.from({ length: 12_000 }, (_, i) => `w${i}`).join('|')})$`,
  },
  'lengths of 10,000': { type: 'string', minLength: 9999, maxLength: 10_000 },
  'lists of 10,000': { type: 'array', items: { type: 'boolean' }, minItems: 10_000 },
  'unique items': { type: 'array', items: { enum: [1, 2] }, uniqueItems: true, minItems: 3 },
  'names by a catastrophic pattern': {
    type: 'object',
    properties: { [text(60)]: {} },
    patternProperties: { '^(a+)+$': {}, '^(a|a)*b': {} },
  },
  'not anything': { type: 'string', not: { pattern: '^(a+)+$' }, maxLength: 50 },
  'a reference that is itself': { $ref: '#' },
  'references in a circle': { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' },
  'a chain of references': {
    $defs: numbered(5000, (i) => (i === 4999 ? { type: 'null' } : { $ref: `#/$defs/p${i + 1}` })),
    $ref: '#/$defs/p0',
  },
  'a tree that doubles': {
    $defs: numbered(20, (i) =>
      i === 19
        ? { type: 'null' }
        : {
            type: 'object',
            properties: { a: { $ref: `#/$defs/p${i + 1}` }, b: { $ref: `#/$defs/p${i + 1}` } },
            required: ['a', 'b'],
          },
    ),
    $ref: '#/$defs/p0',
    definitions: {},
  },
  'all of doubles': {
    $defs: {
      ...numbered(18, (i) => ({ allOf: [{ $ref: `#/$defs/p${i + 1}` }, { $ref: `#/$defs/p${i + 1}` }] })),
      p18: { type: 'string' },
    },
    $ref: '#/$defs/p0',
  },
  'large numbers': { type: 'number', minimum: -1e300, maximum: 1e300, multipleOf: 1e-300 },
  'many bounds': {
    type: 'array',
    prefixItems: Array.from({ length: 2000 }, (_, i) => ({ type: 'integer', minimum: i, maximum: 10 ** 14 + i })),
    minItems: 2000,
  },
  'a date and a pattern': { type: 'string', format: 'date-time', pattern: '^.*(1|2|3).*(4|5|6).*Z$' },
};

const ask = (more: object) => ({
  path: 'chat/completions',
  body: { model: 'tiny', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 12, seed: 1, ...more },
});
const say = (content: string) => ask({ messages: [{ role: 'user', content }] });
const grade = (grader: object, output: string, item: object = {}) => ({
  path: 'fine_tuning/alpha/graders/run',
  body: { grader, item, model_sample: output },
});
const requests: Record<string, { path: string; body: unknown }> = {
  ...Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [
      name,
      ask({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } }),
    ]),
  ),
  'a prompt of one letter': say(text(1e6)),
  'a prompt of spaces': say(text(1e6, ' ')),
  'a prompt of pictograms': say(text(1e6, '👩‍👩‍👧‍👦')),
  'a prompt of special tokens': say(text(1e6, '<s></s>')),
  'a prompt of digits': say(text(1e6, '0123456789')),
  'a prompt of accents': say(text(1e6, 'a\u0301\u0302\u0303')),
  '10,000 messages': ask({ messages: Array.from({ length: 10_000 }, () => ({ role: 'user', content: 'Hi' })) }),
  'long stops': ask({ stop: [text(1e5), text(1e5, 'ab'), text(1e5, 'abc'), text(1e5, 'abcd')] }),
  'many biases': ask({ logit_bias: numbered(50_000, () => 1) }),
  'a large list of tools': ask({
    tools: Array.from({ length: 128 }, (_, i) => ({
      type: 'function',
      function: { name: `t${i}`, parameters: nested(50) },
    })),
    tool_choice: 'required',
  }),
  'deep arguments': ask({ chat_template_kwargs: { deep: nested(500) } }),
  'a text to score': {
    path: 'completions',
    body: { model: 'tiny', prompt: text(1e6), echo: true, max_tokens: 0, logprobs: 5 },
  },
  'a grader that never ends': grade({ type: 'javascript', name: 'g', source: 'function grade() { for (;;); }' }, 'x'),
  'a grader of long texts': grade(
    {
      type: 'text_similarity',
      name: 'g',
      input: '{{ sample.output_text }}',
      reference: '{{ item.a }}',
      evaluation_metric: 'fuzzy_match',
    },
    text(20_000, 'abcd'),
    { a: text(20_000, 'dcba') },
  ),
  'a grader of long words': grade(
    {
      type: 'text_similarity',
      name: 'g',
      input: '{{ sample.output_text }}',
      reference: '{{ item.a }}',
      evaluation_metric: 'rouge_l',
    },
    text(40_000, 'a b c '),
    { a: text(40_000, 'c b a ') },
  ),
  'a deep formula': grade(
    { type: 'multi', name: 'g', graders: {}, calculate_output: `${text(5000, '(')}1${text(5000, ')')}` },
    'x',
  ),
};

it.skipIf(process.platform !== 'linux')(
  'answers /health beside the worst schemas, prompts, bodies and graders',
  async () => {
    const { serve } = (await import(
      pathToFileURL(join(inject('compiled'), 'dist/serve/index.js')).href
    )) as typeof import('../src/serve/index.ts');
    const server = await serve({ models: { tiny }, folder: folder.path, port: 0, perMinute: 10_000 });
    const health = server.url.replace('/v1', '/health');
    try {
      const bodies = Object.entries(requests).map(([name, { path, body }]) => ({
        name,
        path,
        body: JSON.stringify(body),
      }));
      expect(bodies.length).toBeGreaterThanOrEqual(50);
      await (
        await fetch(`${server.url}/chat/completions`, {
          method: 'POST',
          body: JSON.stringify(ask({}).body),
          headers: { 'content-type': 'application/json' },
        })
      ).text();
      const slow: [string, number][] = [];
      for (const { name, path, body } of bodies) {
        let [before, longest, ended, answered] = [processorTime(), 0, false, 0];
        // between two looks are whole turns: the longest turn takes at most what the longest pause between them took
        const looks = setInterval(() => {
          const time = processorTime();
          longest = Math.max(longest, time - before);
          before = time;
        }, 10);
        const asked = fetch(`${server.url}/${path}`, {
          method: 'POST',
          body,
          headers: { 'content-type': 'application/json' },
        });
        const whole = asked.then(async (response) => {
          const message = await response.text();
          ended = true;
          return { status: response.status, message };
        });
        while (!ended) {
          const { status } = await fetch(health);
          expect(status).toBe(200);
          answered++;
          await setTimeout(10);
        }
        clearInterval(looks);
        const { status, message } = await whole;
        expect([name, [200, 400, 413, 422].includes(status), message.slice(0, 300)]).toEqual([
          name,
          true,
          expect.any(String),
        ]);
        expect(answered).toBeGreaterThan(0);
        if (process.env.HEED_SHOW) console.log(name, longest, status, message.slice(0, 140));
        if (longest > MOST) slow.push([name, longest]);
      }
      expect(slow).toEqual([]);
    } finally {
      await server.close();
    }
  },
);
