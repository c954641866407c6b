/** The model that comes with heed answers a newcomer's first requests: text, JSON by a schema, and calls of tools. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { z } from 'zod';

const folder = mkdtempSync(join(tmpdir(), 'heed-embedded-'));
let server: import('../src/serve/index.ts').Server;
let client: OpenAI;
let model: string;
beforeAll(async () => {
  const { serve } = (await import(
    pathToFileURL(join(inject('compiled'), 'dist/serve/index.js')).href
  )) as typeof import('../src/serve/index.ts');
  server = await serve({ folder, port: 0 });
  client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
  [{ id: model }] = (await client.models.list()).data;
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const messages = [{ role: 'user' as const, content: 'What is the weather in Paris?' }];
const Weather = z.object({ city: z.string(), unit: z.enum(['C', 'F']).nullable() });

it('reads and writes every text', async () => {
  const { choices } = await client.chat.completions.create({ model, messages, max_tokens: 20, seed: 1 });
  expect(choices[0].message.content).toMatch(/\w/);
  const [loaded] = server.context.shelf.loaded();
  using served = await server.context.shelf.open(loaded.name);
  const { tokenizer } = served.model;
  const text = 'Grüße, 世界! {"a":[1.5,null]}\n👩‍👩‍👧';
  expect(tokenizer.decode(tokenizer.encode(text).slice(1))).toBe(text);
});

it('answers by a schema', async () => {
  const steps = z.object({
    steps: z.array(z.object({ explanation: z.string(), output: z.string() })),
    answer: z.string(),
  });
  for (let seed = 0; seed < 5; seed++) {
    const request = { model, messages, seed, response_format: zodResponseFormat(steps, 'math') };
    const { choices } = await client.chat.completions.parse(request);
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { parsed: { answer: expect.any(String) } } });
  }
});

it('calls a tool, and goes on with its result', async () => {
  const tools = [zodFunction({ name: 'get_weather', parameters: Weather })];
  const asked = await client.chat.completions.parse({ model, messages, tools, tool_choice: 'required', seed: 1 });
  const [call] = asked.choices[0].message.tool_calls!;
  expect(call).toMatchObject({ type: 'function', function: { name: 'get_weather' } });
  expect(Weather.safeParse(call.function.parsed_arguments).success).toBe(true);
  expect(asked.choices[0].finish_reason).toBe('tool_calls');
  const { choices } = await client.chat.completions.create({
    model,
    tools,
    tool_choice: 'none',
    seed: 1,
    max_tokens: 20,
    messages: [
      ...messages,
      { role: 'assistant', tool_calls: [{ id: call.id, type: 'function', function: call.function }] },
      { role: 'tool', tool_call_id: call.id, content: 'sunny' },
    ],
  });
  expect(choices[0].message.content).toMatch(/\w/);
});

// as reported of other servers: langchain4j#1052, sglang#9696, ollama-python#546, llama.cpp#25454
it('calls only tools that there are, by their schemas, where it may call some', async () => {
  const Place = z.object({ city: z.enum(['Paris', 'Lima']) });
  const Sum = z.object({ a: z.number().int(), b: z.number().int() });
  const tools = [
    zodFunction({ name: 'get_weather', parameters: Place }),
    zodFunction({ name: 'add', parameters: Sum }),
  ];
  const ask = async (content: string, more: object = {}) => {
    const asked = { model, messages: [{ role: 'user' as const, content }], tools, temperature: 0, max_tokens: 100 };
    const { message } = (await client.chat.completions.create({ ...asked, ...more })).choices[0];
    const calls = (message.tool_calls ?? []) as OpenAI.ChatCompletionMessageFunctionToolCall[];
    return { content: message.content, calls: calls.map((call) => call.function) };
  };
  const answer = zodResponseFormat(z.object({ rating: z.number().int() }), 'answer');
  let called = 0;
  for (const content of ['What is the weather in Paris?', 'Add 3 and 4', 'Weather today in Lima', 'Hello!']) {
    for (const { name, arguments: json } of (await ask(content)).calls) {
      expect((name === 'add' ? Sum : Place).safeParse(JSON.parse(json)).success).toBe(true);
      called++;
    }
    const one = await ask(content, { temperature: 1, seed: 3, parallel_tool_calls: false });
    expect(one.calls.length).toBeLessThan(2);
    const other = await ask(content, { response_format: answer });
    if (other.calls.length === 0) expect(JSON.parse(other.content!)).toHaveProperty('rating');
  }
  expect(called).toBeGreaterThan(0);
});

// as reported of other servers: vllm#16340 and #14951, ollama#7881 and #4448
it('streams calls that clients put together, and usage with several choices', async () => {
  const tools = [zodFunction({ name: 'get_weather', parameters: Weather })];
  const tool_choice = { type: 'function' as const, function: { name: 'get_weather' } };
  const stream = client.chat.completions.stream({ model, messages, tools, tool_choice, seed: 1 });
  const [{ message }] = (await stream.finalChatCompletion()).choices;
  expect(message.tool_calls).toEqual([
    expect.objectContaining({ type: 'function', function: expect.objectContaining({ name: 'get_weather' }) }),
  ]);
  const several = { model, messages, n: 2, seed: 1, max_tokens: 4, stream_options: { include_usage: true } };
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of await client.chat.completions.create({ ...several, stream: true })) chunks.push(chunk);
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 8 } });
  expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
});

// llama.cpp#16790 and #19051, opencodex#2135, llama_index#20814
it('takes references into lists, \\d in tools and null, and refuses a pattern that is none', async () => {
  const tree = {
    type: 'object',
    properties: {
      left: { anyOf: [{ type: 'string', pattern: '^\\d{1,3}$' }, { type: 'null' }] },
      right: { $ref: '#/properties/left/anyOf/0' },
    },
    required: ['left', 'right'],
    additionalProperties: false,
  };
  const tools = [{ type: 'function' as const, function: { name: 'build', parameters: tree } }];
  const called = await client.chat.completions.create({
    model,
    messages,
    tools,
    tool_choice: 'required',
    seed: 1,
    parallel_tool_calls: null as unknown as boolean,
  });
  const [call] = called.choices[0].message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
  expect(JSON.parse(call.function.arguments)).toMatchObject({ right: expect.stringMatching(/^\d{1,3}$/) });
  const schema = { type: 'object', properties: { a: { type: 'string', pattern: '^hello indeed\\' } }, required: ['a'] };
  const response_format = { type: 'json_schema' as const, json_schema: { name: 'x', strict: true, schema } };
  await expect(client.chat.completions.create({ model, messages, response_format })).rejects.toThrow(/400.*pattern/s);
});
