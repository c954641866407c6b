import fc from 'fast-check';
import { NotFoundError } from 'openai';
import { afterAll, describe, expect, it } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { startTinyServer, tinyModel } from '../../test/support/tiny-server.ts';

let time = Date.UTC(2026, 10, 22);
const now = () => time++; // nothing is made in the same millisecond
const { server, client, own, close } = await startTinyServer('with/tools', { maxTokens: 300, now });
afterAll(close);

const messages = [{ role: 'user' as const, content: 'Hello' }];
const brief = { model: 'tiny', messages, max_completion_tokens: 12, seed: 3 };

describe('models', () => {
  it('are listed and found by name', async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(['tiny', 'with/tools']);
    expect(await client.models.retrieve('with/tools')).toMatchObject({ id: 'with/tools', object: 'model' });
    await expect(client.models.retrieve('no/such')).rejects.toThrow('"no/such" does not exist');
    await expect(client.models.delete('tiny')).rejects.toMatchObject({ status: 403 });
  });

  it('can be added and removed while the server runs, and answered by others', async () => {
    await server.context.shelf.add({ name: 'ft:tiny:me::1', folder: tinyModel, parent: 'tiny' });
    server.context.shelf.redirect((name, user) => (user === 'ada' ? 'ft:tiny:me::1' : name));
    const version = async (user: string) =>
      (await client.chat.completions.create({ ...brief, user })).system_fingerprint;
    expect([await version('ada'), await version('ben')]).toEqual(['ft:tiny:me::1', 'tiny']);
    server.context.shelf.redirect((name) => name);
    expect(await client.models.delete('ft:tiny:me::1')).toMatchObject({ deleted: true });
    await expect(client.chat.completions.create({ ...brief, model: 'ft:tiny:me::1' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
  });
});

describe('chat completions', () => {
  it('are the same for the same seed, streamed or not, alone or with others', async () => {
    const whole = await client.chat.completions.create({ ...brief, n: 2 });
    const texts = whole.choices.map(({ message }) => message.content);
    expect(texts[0]).not.toBe(texts[1]);
    expect(whole._request_id).toMatch(/^req_/);
    expect(whole.usage!.total_tokens).toBe(whole.usage!.prompt_tokens + whole.usage!.completion_tokens);
    const streams = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const stream = await client.chat.completions.create({
          ...brief,
          n: 2,
          stream: true,
          stream_options: { include_usage: true },
        });
        const pieces = ['', ''];
        let usage: object | null | undefined;
        const reasons: (string | null)[] = [];
        for await (const chunk of stream) {
          for (const { index, delta, finish_reason } of chunk.choices) {
            pieces[index] += delta.content ?? '';
            if (finish_reason) reasons.push(finish_reason);
          }
          usage = chunk.usage;
        }
        return { pieces, usage, reasons };
      }),
    );
    for (const { pieces, usage, reasons } of streams) {
      expect(pieces).toEqual(texts);
      expect(usage).toEqual(whole.usage);
      expect(reasons).toEqual(whole.choices.map(({ finish_reason }) => finish_reason));
    }
  });

  it('come with log-probabilities, biases, penalties and stop texts', async () => {
    const { choices } = await client.chat.completions.create({
      ...brief,
      temperature: 0,
      logprobs: true,
      top_logprobs: 2,
    });
    const content = choices[0].logprobs!.content!;
    expect(content[0].top_logprobs).toHaveLength(2);
    expect(content[0].logprob).toBeCloseTo(content[0].top_logprobs[0].logprob, 5);
    const greedy = choices[0].message.content!;
    const first = own.tokenizer.encode(greedy, { addSpecialTokens: false })[0];
    const text = async (more: object) =>
      (await client.chat.completions.create({ ...brief, temperature: 0, ...more })).choices[0].message.content!;
    expect(await text({ logit_bias: { [first]: -100 } })).not.toBe(greedy);
    const banned = await text({ logit_bias: { 100: 100 }, max_completion_tokens: 4 });
    expect(banned).toBe(own.tokenizer.decode([100, 100, 100, 100]));
    expect(
      await text({ logit_bias: { 100: 100 }, frequency_penalty: 2, presence_penalty: 2, max_completion_tokens: 200 }),
    ).toContain(banned);
    expect(greedy.startsWith(await text({ stop: [greedy.slice(3, 5)] }))).toBe(true);
  });

  it('are JSON by a schema, and calls of tools that were asked for', async () => {
    const schema = {
      type: 'object',
      properties: { ok: { type: 'boolean' }, city: { enum: ['Rome', 'Bern'] }, n: { type: 'integer' } },
      required: ['ok', 'city', 'n'],
      additionalProperties: false,
    };
    const { choices } = await client.chat.completions.create({
      model: 'tiny',
      messages,
      seed: 1,
      response_format: { type: 'json_schema', json_schema: { name: 'completion', schema } },
    });
    expect(JSON.parse(choices[0].message.content!)).toMatchObject({ city: expect.stringMatching(/Rome|Bern/) });
    const parameters = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] };
    const weather = { type: 'function' as const, function: { name: 'weather', parameters } };
    const asked = { model: 'with/tools', messages, tools: [weather], tool_choice: 'required' as const, seed: 2 };
    const called = await client.chat.completions.create(asked);
    expect(called.choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
    const stream = client.chat.completions.stream(asked);
    const [call] = (await stream.finalChatCompletion()).choices[0].message.tool_calls!;
    expect(JSON.parse((call as typeof call & { function: { arguments: string } }).function.arguments)).toHaveProperty(
      'ok',
    );
    const [first] = called.choices[0].message.tool_calls!;
    const answered = await client.chat.completions.create({
      ...asked,
      tool_choice: 'auto' as const,
      max_completion_tokens: 5,
      messages: [...messages, called.choices[0].message, { role: 'tool', tool_call_id: first.id, content: 'sunny' }],
    });
    expect(answered.choices[0].message.content).toBeTypeOf('string'); // what is no call stays text
    const auto = { ...asked, tool_choice: 'auto' as const, max_completion_tokens: 30 };
    const text = (await client.chat.completions.create(auto)).choices[0].message.content;
    const pieces = [];
    for await (const { choices } of await client.chat.completions.create({ ...auto, stream: true })) {
      pieces.push(choices[0].delta.content ?? '');
    }
    expect(pieces.join('')).toBe(text);
    expect(pieces.filter(Boolean).length).toBeGreaterThan(5);
    const odd = { type: 'function' as const, function: { name: 'odd', parameters: { type: 'date' }, strict: true } };
    await expect(client.chat.completions.create({ ...auto, tools: [odd] })).rejects.toThrow('type "date"');
    const loose = { ...odd, function: { ...odd.function, strict: false } };
    expect((await client.chat.completions.create({ ...auto, tools: [loose] })).choices).toHaveLength(1);
    await expect(client.chat.completions.create({ ...asked, model: 'tiny' })).rejects.toMatchObject({ param: 'tools' });
    const cut = await client.chat.completions.create({ ...asked, max_completion_tokens: 25 });
    expect(cut.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: null } });
    expect(cut.choices[0].message.tool_calls).toMatchObject([{ function: { name: 'weather' } }]);
    const openings = [];
    for await (const { choices } of await client.chat.completions.create({ ...asked, stream: true })) {
      openings.push(choices[0].delta.content);
    }
    expect(openings[0]).toBeNull();
    // a text that the model would never end, such as a list of lists of lists
    const endless = { type: 'array', items: { anyOf: [{ $ref: '#' }, { type: 'string' }] }, minItems: 1 };
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'x', schema: endless } };
    for (const max_completion_tokens of [8, 20, 50]) {
      const { choices } = await client.chat.completions.create({ ...brief, response_format, max_completion_tokens });
      expect(JSON.parse(choices[0].message.content!)).toBeInstanceOf(Array);
    }
    const impossible = { type: 'object', properties: { a: { type: 'string', pattern: '[' } } };
    await expect(
      client.chat.completions.create({
        ...brief,
        response_format: { type: 'json_schema', json_schema: { name: 'x', schema: impossible } },
      }),
    ).rejects.toThrow('schema.a.pattern');
  });

  it('say what is wrong with what clients often send', async () => {
    const say = async (path: string, body: object, headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url.replace('/v1', '')}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ ...brief, ...body }),
      });
      const { error, choices } = (await response.json()) as { error?: { message: string }; choices?: object[] };
      return error?.message ?? choices?.length;
    };
    const path = '/v1/chat/completions';
    expect(await say(`${path}/`, {})).toBe(1);
    expect(await say('/chat/completions', {})).toContain('Did you mean /v1/chat/completions?');
    expect(await say(path, { tool_choice: 'required' })).toContain('there are no "tools"');
    expect(await say(path, { stop: ['a', 'b', 'c', 'd', 'e'] })).toContain('at most 4 texts');
    expect(await say(path, { top_logprobs: 2 })).toContain('needs "logprobs"');
    expect(await say(path, { logit_bias: { 999999: 1 } })).toContain('the model has those from 0');
    expect(await say(path, {}, { 'content-encoding': 'gzip' })).toContain('compressed (gzip)');
  });

  it('are written anew where a schema is checked afterwards', async () => {
    const one = { enum: [1, 2] };
    const schema = { type: 'array', items: one, minItems: 2, maxItems: 2, uniqueItems: true };
    const ask = (seed: number, more: object = {}) =>
      client.chat.completions.create({
        model: 'tiny',
        messages,
        seed,
        response_format: { type: 'json_schema', json_schema: { name: 'x', schema: schema as Record<string, unknown> } },
        ...more,
      });
    let repairs = 0;
    for (let seed = 0; seed < 8; seed++) {
      const { choices } = await ask(seed, { logprobs: true });
      const { message, logprobs } = choices[0];
      expect([
        [1, 2],
        [2, 1],
      ]).toContainEqual(JSON.parse(message.content!));
      const bytes = logprobs!.content!.flatMap(({ bytes }) => bytes ?? []);
      expect(Buffer.from(bytes).toString().trim()).toBe(message.content!.trim());
      repairs += (choices[0] as { heed_repairs?: number }).heed_repairs ?? 0;
    }
    expect(repairs).toBeGreaterThan(0);
    const never = { ...schema, items: { const: 1 } };
    const format = { type: 'json_schema', json_schema: { name: 'x', schema: never } };
    await expect(ask(1, { response_format: format })).rejects.toMatchObject({ status: 422, code: 'format_not_met' });
  });

  it('are stored, listed, changed and deleted where the client asks for it', async () => {
    const { id } = await client.chat.completions.create({ ...brief, store: true, metadata: { topic: 'a' } });
    const other = await client.chat.completions.create({ ...brief, store: true, metadata: { topic: 'b' } });
    const { id: passing } = await client.chat.completions.create(brief);
    const ids = async (query = {}) => (await client.chat.completions.list(query)).data.map(({ id }) => id);
    expect(await ids()).toEqual([id, other.id]);
    expect(await ids({ limit: 1, after: id })).toEqual([other.id]);
    expect(await ids({ metadata: { topic: 'b' } })).toEqual([other.id]);
    await client.chat.completions.update(id, { metadata: { topic: 'c' } });
    expect(await client.chat.completions.retrieve(id)).toHaveProperty('metadata', { topic: 'c' });
    expect((await client.chat.completions.messages.list(id)).data[0]).toMatchObject({ role: 'user', content: 'Hello' });
    expect(await client.chat.completions.delete(id)).toMatchObject({ deleted: true });
    await expect(client.chat.completions.retrieve(id)).rejects.toBeInstanceOf(NotFoundError);
    // kept for feedback, but not listed
    const { database } = server.context;
    const kept = await database.selectFrom('completions').selectAll().where('id', '=', passing).execute();
    expect(kept).toMatchObject([{ stored: 0 }]);
    expect(JSON.parse(kept[0].choicesJson)[0].tokenIds.length).toBeGreaterThan(0);
  });

  it('stop when the client leaves', async () => {
    using model = await server.context.shelf.open('tiny');
    const { queue } = model;
    const before = queue.counts.completionTokens;
    const left = new Promise<void>((resolve) => server.context.hooks.usage.push(() => resolve()));
    await queue.pause();
    const stream = await client.chat.completions.create({ ...brief, n: 8, stream: true });
    for await (const _ of stream) break; // what begins each choice comes before its first token
    await left;
    queue.resume();
    await eventually(() => expect(queue.waiting + queue.running).toBe(0));
    expect(queue.counts.completionTokens).toBe(before);
  });
});

it('continues texts and tokens, with the prompt and log-probabilities', async () => {
  const request = {
    model: 'tiny',
    prompt: ['Once', 'upon'],
    max_tokens: 6,
    temperature: 0,
    logprobs: 2,
    echo: true,
    n: 2,
  };
  const { choices, usage } = await client.completions.create(request);
  expect(choices.map(({ text }) => text.slice(0, 4))).toEqual(['Once', 'Once', 'upon', 'upon']);
  expect(choices[0].text).toBe(choices[1].text);
  const asked = own.tokenizer.encode('Once').length;
  expect(choices[0].logprobs!.tokens).toHaveLength(asked + 6);
  expect(choices[0].logprobs!.token_logprobs![0]).toBeNull();
  expect(choices[0].logprobs!.top_logprobs![0]).toBeNull();
  expect(Object.keys(choices[0].logprobs!.top_logprobs![1])).toHaveLength(2);
  expect(choices[0].logprobs!.text_offset![asked]).toBe(4);
  expect(usage!.completion_tokens).toBe(24);
  const prompt = own.tokenizer.encode('upon');
  let text = '';
  for await (const chunk of await client.completions.create({ ...request, prompt, echo: false, n: 1, stream: true }))
    text += chunk.choices[0].text;
  expect(`upon${text}`).toBe(choices[2].text);
});

it('scores texts without writing, as it scores what it writes', async () => {
  const prompt = own.tokenizer.encode('Once upon');
  const ids = { model: 'tiny', logprobs: 3, return_tokens_as_token_ids: true, temperature: 0 };
  const { choices: written } = await client.completions.create({ ...ids, prompt, max_tokens: 4 });
  const { tokens, token_logprobs: logprobs } = written[0].logprobs!;
  const whole = [...prompt, ...tokens!.map((token) => Number(token.replace('token_id:', '')))];
  const scored = await client.completions.create({ ...ids, prompt: whole, max_tokens: 0, echo: true });
  const { logprobs: all, finish_reason } = scored.choices[0];
  expect([finish_reason, scored.usage!.completion_tokens]).toEqual(['length', 0]);
  expect(all!.tokens).toEqual(whole.map((id) => `token_id:${id}`));
  for (const [i, logprob] of logprobs!.entries()) {
    expect(all!.token_logprobs![prompt.length + i]).toBeCloseTo(logprob, 4);
    expect(Math.max(...Object.values(all!.top_logprobs![prompt.length + i]))).toBeCloseTo(logprob, 4); // the likeliest
  }
  const refused = (more: object) => client.completions.create({ ...ids, prompt, max_tokens: 0, ...more });
  await expect(refused({})).rejects.toMatchObject({ status: 400, param: 'max_tokens' });
  await expect(refused({ prompt: new Array(200).fill(9), n: 20, logprobs: 512, echo: true })).rejects.toMatchObject({
    status: 400,
    param: 'logprobs',
  });
});

it('names what is wrong, and what to use instead', async () => {
  const chat = (more: object) => client.chat.completions.create({ ...brief, ...more }).catch((error) => error);
  const missing = await chat({ model: 'gone' });
  expect(missing).toBeInstanceOf(NotFoundError);
  expect(missing).toMatchObject({ code: 'model_not_found', param: 'model' });
  expect(await chat({ temperature: 3 })).toMatchObject({ status: 400, param: 'temperature' });
  expect(await chat({ messages: [{ role: 'wizard', content: '' }] })).toMatchObject({ param: 'messages[0].role' });
  expect(await chat({ reasoning_effort: 'low' })).toMatchObject({
    param: 'reasoning_effort',
    code: 'unsupported_parameter',
  });
  expect(await chat({ color: 1 })).toMatchObject({ param: 'color', code: 'unknown_parameter' });
  expect(await chat({ user: null, messages: [{ role: 'user', content: 'a '.repeat(300) }] })).toMatchObject({
    code: 'context_length_exceeded',
  });
  await expect(client.embeddings.create({ model: 'tiny', input: 'x' })).rejects.toThrow('does not have /v1/embeddings');
  await expect(client.conversations.create({})).rejects.toThrow('previous_response_id');
  expect((await fetch(`${server.url}/chat/completions`, { method: 'PUT' })).status).toBe(405);
  expect((await fetch(`${server.url}/chat/completions`, { method: 'POST', body: '{' })).status).toBe(400);
});

it('takes best_of where it says what n does', async () => {
  const request = { model: 'tiny', prompt: 'a', max_tokens: 2, n: 2 };
  expect((await client.completions.create({ ...request, best_of: 2 })).choices).toHaveLength(2);
  await expect(client.completions.create({ ...request, best_of: 3 })).rejects.toMatchObject({ param: 'best_of' });
});

it('takes null for any parameter that may be left out', async () => {
  const color = { type: 'object', properties: { red: { enum: [1] } }, required: ['red'] };
  const add = { name: 'add', description: null, parameters: null, strict: null };
  const body = {
    ...brief,
    messages: [{ role: 'user', content: 'Hi', name: null }],
    user: null,
    stream_options: null,
    tools: [{ type: 'function', function: add }],
    tool_choice: 'none',
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'color', schema: { ...color, title: null }, description: null, strict: null },
    },
  };
  const { choices } = await client.chat.completions.create(body as never);
  expect(choices[0].message.content).toMatch(/^\s*\{\s*"red"/);
  const stream = await client.chat.completions.create({
    ...brief,
    stream: true,
    stream_options: { include_usage: null, include_obfuscation: null },
  } as never);
  let events = 0;
  for await (const _ of stream as unknown as AsyncIterable<unknown>) events++;
  expect(events).toBeGreaterThan(0);
  const job = { model: 'tiny', training_file: 'gone', method: { type: 'dpo', dpo: { hyperparameters: null } } };
  await expect(client.fineTuning.jobs.create(job as never)).rejects.toMatchObject({ param: 'training_file' });
  for (const name of ['constructor', '__proto__']) {
    const response = await fetch(`${server.url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{ "model": "tiny", "messages": [{ "role": "user", "content": "Hi" }], "max_tokens": 1, "${name}": 1 }`,
    });
    expect([name, response.status]).toEqual([name, 400]);
  }
  const wrong = { ...body, response_format: { type: 'json_schema', json_schema: { name: null, schema: color } } };
  await expect(client.chat.completions.create(wrong as never)).rejects.toMatchObject({
    param: 'response_format.json_schema.name',
  });
});

it('answers no request with a 500, whatever is in it', async () => {
  const valid = {
    model: 'tiny',
    messages,
    max_completion_tokens: 2,
    n: 1,
    temperature: 1,
    stop: ['x'],
    stream: false,
    seed: 1,
    logprobs: true,
    top_logprobs: 1,
    logit_bias: { 5: 1 },
    metadata: { a: 'b' },
    tools: [],
    tool_choice: 'auto',
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { enum: [1] } } },
  };
  const text = { model: 'tiny', prompt: 'a', max_tokens: 2, logprobs: 1, echo: true };
  const changed = (whole: object) =>
    fc
      .tuple(fc.constantFrom(...Object.keys(whole)), fc.oneof(fc.jsonValue(), fc.constant(-1), fc.constant(1e300)))
      .map(([key, value]) => ({ ...whole, [key]: value }));
  const body = fc.oneof(
    fc.tuple(fc.constant('chat/completions'), fc.oneof(changed(valid), fc.jsonValue())),
    fc.tuple(fc.constant('completions'), fc.oneof(changed(text), fc.jsonValue())),
  );
  await fc.assert(
    fc.asyncProperty(body, async ([path, value]) => {
      const response = await fetch(`${server.url}/${path}`, { method: 'POST', body: JSON.stringify(value) });
      const text = await response.text();
      expect([response.status, text.slice(0, 300), value]).not.toContain(500);
      if (response.status >= 400) expect(JSON.parse(text).error.message).not.toBe('');
    }),
    { numRuns: 150, seed: 1 },
  );
});
