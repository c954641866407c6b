import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import type OpenAI from 'openai';
import { NotFoundError } from 'openai';
import { afterAll, expect, it } from 'vitest';
import { pythonWith } from '../../../test/support/python.ts';
import { startTinyServer } from '../../../test/support/tiny-server.ts';

const { server, client, close } = await startTinyServer('tools');
afterAll(close);

const brief = { model: 'tiny', input: 'Hello', max_output_tokens: 12, temperature: 0 };
const weather = {
  type: 'function' as const,
  name: 'weather',
  parameters: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
  strict: null,
};

it('are what chat completions write, streamed or not', async () => {
  const response = await client.responses.create({ ...brief, metadata: { topic: 'a' } });
  const chat = await client.chat.completions.create({
    model: 'tiny',
    messages: [{ role: 'user', content: 'Hello' }],
    max_completion_tokens: 12,
    temperature: 0,
  });
  expect(response).toMatchObject({ object: 'response', model: 'tiny', metadata: { topic: 'a' }, temperature: 0 });
  expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
  expect(response.output_text).toBe(chat.choices[0].message.content);
  expect(response.usage).toMatchObject({ input_tokens: chat.usage!.prompt_tokens, output_tokens: 12 });

  const types: string[] = [];
  const numbers: number[] = [];
  const stream = client.responses.stream({ ...brief, top_logprobs: 1 });
  for await (const event of stream) {
    types.push(event.type);
    numbers.push(event.sequence_number);
  }
  const streamed = await stream.finalResponse();
  expect(streamed.output_text).toBe(response.output_text);
  expect(streamed.output).toMatchObject([
    { type: 'message', content: [{ type: 'output_text', logprobs: { length: 12 } }] },
  ]);
  expect(numbers).toEqual(numbers.map((_, i) => i));
  expect(types.filter((type, i) => type !== types[i - 1])).toEqual([
    ...['created', 'in_progress', 'output_item.added', 'content_part.added', 'output_text.delta'].map(name),
    ...['output_text.done', 'content_part.done', 'output_item.done', 'incomplete'].map(name),
  ]);
});
const name = (type: string) => `response.${type}`;

it('go on from earlier ones as from a conversation that is sent again', async () => {
  const first = await client.responses.create({ ...brief, instructions: 'Be brief.' });
  const second = await client.responses.create({ ...brief, input: 'More', previous_response_id: first.id });
  const said = { role: 'assistant' as const, content: first.output_text };
  const whole = [{ role: 'user' as const, content: 'Hello' }, said, { role: 'user' as const, content: 'More' }];
  expect((await client.responses.create({ ...brief, input: whole })).output_text).toBe(second.output_text);
  // as the AI SDK sends it: items of the model by their ids
  const [hello, , more] = whole;
  const referred = [hello, { type: 'item_reference' as const, id: first.output[0].id! }, more];
  expect((await client.responses.create({ ...brief, input: referred })).output_text).toBe(second.output_text);
  const { input_tokens } = await client.responses.inputTokens.count({ model: 'tiny', input: referred });
  expect(input_tokens).toBe(second.usage!.input_tokens);

  expect(second).toMatchObject(await client.responses.retrieve(second.id));
  const { data } = await client.responses.inputItems.list(second.id);
  expect(data).toMatchObject([{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'More' }] }]);
  expect((await client.chat.completions.list()).data).toEqual([]); // they are no chat completions
  await client.responses.delete(first.id);
  await expect(client.responses.retrieve(first.id)).rejects.toBeInstanceOf(NotFoundError);
  const after = { ...brief, input: 'Again', previous_response_id: second.id };
  expect((await client.responses.create(after)).status).toBe('incomplete'); // its own conversation stays
  await expect(client.responses.create({ ...after, previous_response_id: first.id })).rejects.toMatchObject({
    status: 400,
    code: 'previous_response_not_found',
    param: 'previous_response_id',
  });
  await expect(client.responses.cancel(second.id)).rejects.toMatchObject({ status: 400 });
});

it('are kept for feedback, even if they are not stored', async () => {
  const { id } = await client.responses.create({ ...brief, store: false });
  await expect(client.responses.retrieve(id)).rejects.toBeInstanceOf(NotFoundError);
  const feedback = { completion_id: id, rating: 'good' };
  expect(await client.post('/feedback', { body: feedback })).toMatchObject({ recorded: 1 });
  const days = await server.context.database.selectFrom('completions').select('expires').execute();
  expect(days.every(({ expires }) => expires !== null)).toBe(true);
});

it('call functions, take their outputs, and write JSON by a schema', async () => {
  const asked = { ...brief, model: 'tools', tools: [weather], max_output_tokens: 60 };
  const required = { ...asked, tool_choice: 'required' as const };
  const { output, tools } = await client.responses.create(required);
  expect(output).toMatchObject([{ type: 'function_call', name: 'weather', status: 'completed' }]);
  expect(tools).toMatchObject([{ type: 'function', name: 'weather' }]);
  const stream = client.responses.stream(required);
  const streamed = (await stream.finalResponse()).output[0] as OpenAI.Responses.ResponseFunctionToolCall;
  expect(JSON.parse(streamed.arguments)).toHaveProperty('ok');

  const auto = { ...asked, tool_choice: 'auto' as const, max_output_tokens: 20 };
  const { output_text } = await client.responses.create(auto);
  const events = [];
  for await (const event of await client.responses.create({ ...auto, stream: true })) events.push(event);
  const deltas = events.filter((event) => event.type === 'response.output_text.delta');
  expect(deltas.map(({ delta }) => delta).join('')).toBe(output_text);
  expect(deltas.length).toBeGreaterThan(5);
  expect(events.filter(({ type }) => type === 'response.output_item.added')).toHaveLength(1);

  const first = await client.responses.create(required);
  const [call] = first.output as OpenAI.Responses.ResponseFunctionToolCall[];
  const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'sunny' };
  const next = await client.responses.create({ ...asked, input: [result], previous_response_id: first.id });
  const again = [{ role: 'user' as const, content: 'Hello' }, call, result];
  expect((await client.responses.create({ ...asked, input: again })).output_text).toBe(next.output_text);
  const allowed = { type: 'allowed_tools' as const, mode: 'required' as const, tools: [{ ...weather }] };
  expect((await client.responses.create({ ...asked, tool_choice: allowed })).output[0].type).toBe('function_call');

  const schema = { type: 'object', properties: { city: { enum: ['Rome', 'Bern'] } }, required: ['city'] };
  const format = { type: 'json_schema' as const, name: 'answer', schema: { ...schema, additionalProperties: false } };
  const json = await client.responses.create({ ...brief, max_output_tokens: 60, text: { format } });
  expect(JSON.parse(json.output_text)).toMatchObject({ city: expect.stringMatching(/Rome|Bern/) });
  expect(json.text!.format).toEqual(format);
});

it('name what is wrong, and what there is not', async () => {
  const wrong = (more: object) => client.responses.create({ ...brief, ...more } as never).catch((error) => error);
  const image = { role: 'user', content: [{ type: 'input_image', image_url: 'data:' }] };
  expect(await wrong({ input: [image] })).toMatchObject({ status: 400, param: 'input[0].content' });
  expect(await wrong({ input: [{ type: 'reasoning' }] })).toMatchObject({ param: 'input[0].type' });
  expect(await wrong({ input: [] })).toMatchObject({ param: 'input' });
  expect(await wrong({ input: [{ type: 'item_reference', id: 'msg_1' }] })).toMatchObject({ param: 'input[0].id' });
  expect(await wrong({ tools: [{ type: 'web_search' }] })).toMatchObject({ param: 'tools[0].type' });
  expect(await wrong({ background: true })).toMatchObject({ param: 'background' });
  expect(await wrong({ conversation: 'c' })).toMatchObject({ code: 'unsupported_parameter', param: 'conversation' });
  expect(await wrong({ truncation: 'auto' })).toMatchObject({ param: 'truncation' });
  expect(await wrong({ input: 'a '.repeat(300) })).toMatchObject({ param: 'input', code: 'context_length_exceeded' });
  expect(await wrong({ model: 'gone' })).toBeInstanceOf(NotFoundError);
  expect(await wrong({ tools: [weather] })).toMatchObject({ param: 'tools' });
});

const python = pythonWith('openai');
const check = fileURLToPath(new URL('../../../test/support/responses_check.py', import.meta.url));

it.skipIf(!python)("serve Python's client, openai (needs the Python clients)", async () => {
  const { stdout } = await promisify(execFile)(python!, [check, server.url, 'tiny', 'tools']);
  const found = JSON.parse(stdout);
  expect(found).toMatchObject({ city: expect.stringMatching(/Rome|Bern/), items: ['More'] });
  expect(found.tokens).toBeGreaterThan(0);
  expect(found.call).toHaveProperty('ok');
  expect(found.events).toContain('response.completed');
});

it('answer no request with a 500, whatever is in it', async () => {
  const item = fc.record(
    {
      type: fc.constantFrom('message', 'function_call', 'function_call_output', 'item_reference', 'reasoning'),
      role: fc.constantFrom('user', 'assistant', 'system', 'x'),
      content: fc.constantFrom('a', '', [], 5),
      id: fc.constantFrom('msg_1', `msg_${'0'.repeat(32)}`, ''),
      call_id: fc.constantFrom('c', 'd'),
      name: fc.constant('f'),
      arguments: fc.constantFrom('{}', '{', 'null'),
      output: fc.constantFrom('o', 3),
    },
    { requiredKeys: [] },
  );
  const body = fc.record(
    {
      model: fc.constantFrom('tiny', 'tools', 5),
      input: fc.oneof(fc.string(), fc.array(item), fc.jsonValue()),
      instructions: fc.string(),
      stream: fc.boolean(),
      tools: fc.constantFrom([], [weather], [{}], 1),
      tool_choice: fc.constantFrom('auto', 'none', 'required', { type: 'function', name: 'f' }, {}),
      text: fc.constantFrom({}, { format: { type: 'json_object' } }, { format: {} }),
      top_logprobs: fc.nat(25),
    },
    { requiredKeys: ['model', 'input'] },
  );
  await fc.assert(
    fc.asyncProperty(body, async (value) => {
      const request = { method: 'POST', body: JSON.stringify({ max_output_tokens: 2, ...value }) };
      const response = await fetch(`${server.url}/responses`, request);
      const text = await response.text();
      expect([response.status, text.slice(0, 300), value]).not.toContain(500);
      expect(text).not.toContain('server_error');
    }),
    { numRuns: 40, seed: 1 },
  );
});
