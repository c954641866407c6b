import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtureModel, ownData, smallModel, take } from '../../../test/support/training.ts';
import { createModel, loadModel, type Model } from '../../lm/model.ts';
import { type Server, serve } from '../../serve/serve.ts';
import { createDistill, type DistillInput } from './distill.ts';

const { folder, dataOf } = ownData();
const llama = smallModel();
const data = dataOf([
  { prompt: 'red ', completion: 'sun moon' },
  { prompt: 'blue ', completion: 'cat' },
  { prompt: 'cat ', completion: 'dog red blue' },
  { prompt: 'moon ', completion: 'sun' },
]);

let server: Server;
let teacher: Model;
/** Stands before the server: busy at first, no echo of the model "deaf", no lists of "mute"; and it remembers keys. */
let front: HttpServer;
let calls: { authorization: string | undefined; body: { model: string; echo?: boolean } }[] = [];
let url: string;

const textOf = async (request: IncomingMessage) => {
  let text = '';
  for await (const part of request) text += part;
  return text;
};

beforeAll(async () => {
  teacher = await loadModel(llama);
  const models = { tiny: llama, deaf: llama, mute: llama, strict: llama, other: fixtureModel('tiny-gpt2') };
  server = await serve({ models, folder: join(folder, 'serve'), port: 0 });
  front = createServer(async (request, response) => {
    const body = JSON.parse(await textOf(request));
    calls.push({ authorization: request.headers.authorization, body });
    if (calls.length === 1) return void response.writeHead(503).end('{}');
    const refused = body.return_tokens_as_token_ids
      ? 'return_tokens_as_token_ids'
      : body.max_tokens === 0 && 'max_tokens';
    if (body.model === 'strict' && refused) return void response.writeHead(400).end(`no ${refused}`);
    if (body.model === 'deaf' && body.echo) Object.assign(body, { echo: false, max_tokens: 1 });
    const { status, text } = await fetch(`${server.url}/completions`, {
      method: 'POST',
      body: JSON.stringify(body),
    }).then(async (completion) => ({ status: completion.status, text: await completion.text() }));
    const sent = body.model === 'mute' ? text.replace(/"top_logprobs":.*?\}\]/, '"top_logprobs":null') : text;
    response.writeHead(status, { 'content-type': 'application/json' }).end(sent);
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(front.address() as AddressInfo).port}/v1`;
});
afterAll(async () => {
  front.close();
  await server.close();
  teacher[Symbol.dispose]();
});

const settings = {
  data,
  rows: 2,
  length: 24,
  steps: 4,
  learningRate: 1e-2,
  evaluations: 1,
  samples: { count: 0 },
  evaluation: { share: 0.5 },
  drawing: { maxTokens: 6 },
};
const student = () => createModel(teacher.config, teacher.tokenizer, 5);
const learnerOf = (input: Partial<DistillInput>, model: string | Model = 'tiny', topLogprobs = 512) => {
  const endpoint = { topLogprobs, pause: 0 };
  const named = typeof model === 'string' ? { teacher: `endpoint:${url}#${model}`, endpoint } : { teacher: model };
  return createDistill({ ...settings, model: student(), ...named, ...input } as DistillInput);
};

const lossOf = async (...args: Parameters<typeof learnerOf>) => {
  const learner = await learnerOf(...args);
  const { loss } = await learner.evaluate();
  learner[Symbol.dispose]();
  return loss!;
};

it.each<[Partial<DistillInput>]>([
  [{ divergence: 'forward' }],
  [{ divergence: 'reverse' }],
  [{ divergence: 'jsd', beta: 0.3 }],
])('gives the loss of a teacher in this process where all tokens are listed: %o', async (input) => {
  expect(Math.abs((await lossOf(input)) - (await lossOf(input, teacher)))).toBeLessThan(1e-4);
});

it('takes the same steps, and a loss that is less where few tokens are listed', async () => {
  const [local, all] = [await learnerOf({}, teacher), await learnerOf({})];
  const [theirs, own] = [await take(local, 2), await take(all, 2)];
  for (const [i, { loss, gradientNorm }] of own.entries()) {
    expect(Math.abs(loss - theirs[i].loss)).toBeLessThan(1e-4);
    expect(Math.abs(gradientNorm / theirs[i].gradientNorm - 1)).toBeLessThan(1e-3);
  }
  for (const learner of [local, all]) learner[Symbol.dispose]();
  const [whole, many, few] = [await lossOf({}, teacher), await lossOf({}, 'tiny', 256), await lossOf({}, 'tiny', 5)];
  expect(many).toBeLessThan(whole);
  expect(many).toBeGreaterThan(0.8 * whole);
  expect(few).toBeLessThan(many);
  // an endpoint without ids, which writes a token at least: tokens that share a text count as one
  const named = await lossOf({}, 'strict');
  expect(named).toBeLessThan(whole + 1e-4);
  expect(named).toBeGreaterThan(0.5 * whole);
});

it.each<[string, Partial<DistillInput>]>([
  ['its own texts, which need no echo', { texts: 'teacher' }],
  ['its own texts alone', { texts: 'teacher', divergence: 'none' }],
  ["the student's texts", { divergence: 'reverse', onPolicy: 1 }],
])('teaches by %s', async (_, input) => {
  calls = [];
  const learner = await learnerOf(input, 'tiny', 20);
  const { loss: first } = await learner.evaluate();
  const steps = await take(learner, 4);
  const { loss, evaluation } = steps.at(-1)!;
  if (input.divergence === 'none') expect(loss).toBeLessThan(steps[0].loss);
  else expect(evaluation!.loss!).toBeLessThan(first!);
  expect(calls.slice(1).some(({ body }) => body.echo)).toBe(input.texts !== 'teacher');
  learner[Symbol.dispose]();
});

it('sends the key of the environment, and tries again where the endpoint is busy', async () => {
  process.env.HEED_TEST_TEACHER_KEY = 'sk-teacher';
  calls = [];
  const endpoint = { key: 'HEED_TEST_TEACHER_KEY', pause: 0, atOnce: 1 };
  const learner = await learnerOf({ endpoint });
  expect(calls.map(({ authorization }) => authorization)).toEqual(new Array(5).fill('Bearer sk-teacher'));
  learner[Symbol.dispose]();
  delete process.env.HEED_TEST_TEACHER_KEY;
});

describe('refuses', () => {
  it.each<[string, string, Partial<DistillInput>, RegExp]>([
    ['an endpoint that does not echo', 'deaf', {}, /does not return log-probabilities of given texts/],
    ['an endpoint without lists', 'mute', { texts: 'teacher' }, /lists no likeliest tokens/],
    ['a teacher with other tokens', 'other', {}, /has a different vocabulary from the student/],
    [
      'texts of a teacher with other tokens',
      'other',
      { texts: 'teacher' },
      /has a different vocabulary from the student/,
    ],
    ['a model that is not there', 'gone', {}, /answered 404.*does not exist/],
    ['another temperature', 'tiny', { temperature: 2 }, /temperature.*expected 1/],
    ['a name without a model', '', {}, /names no model/],
  ])('%s', async (_, model, input, message) => {
    await expect((async () => learnerOf(input, model, 20))()).rejects.toThrow(message);
  });
});
