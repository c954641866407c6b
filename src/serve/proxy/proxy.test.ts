import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isCardNumber, redacted, redactionRules } from '../../feedback/redact.ts';
import { type Server, serve } from '../serve.ts';
import { exportServed } from './export.ts';
import { passedOn } from './stream.ts';

/** All in one millisecond: nothing may hang on the order of times. */
const TIME = Date.UTC(2026, 10, 22);
const KEY = 'sk-upstream-0123456789abcdef0123';
let folder: string;
let provider: HttpServer;
let server: Server;
let client: OpenAI;
/** What the provider got. */
let seen: { headers: IncomingMessage['headers']; body: string }[];
let sent: string[];

const call = { id: 'call_1', type: 'function', function: { name: 'search', arguments: '{"q":"tea"}' } };
const pieces = (id: string, deltas: object[]) =>
  deltas.map((delta, i) => {
    const finish_reason = i === deltas.length - 1 ? 'stop' : null;
    const chunk = {
      id,
      object: 'chat.completion.chunk',
      created: 1,
      model: 'big-1',
      choices: [{ index: 0, delta, finish_reason }],
    };
    return `data: ${JSON.stringify(chunk)}\n\n`;
  });

/** A provider as small as can be: it speaks HTTP, streams, calls a tool, refuses and breaks off. */
async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request);
  seen.push({ headers: request.headers, body });
  const json = JSON.parse(body || '{}');
  const id = `up-${seen.length}`;
  if (json.model === 'gone') {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"error":{"message":"no such model","type":"invalid_request_error","param":null,"code":null}}');
    return;
  }
  if (json.model === 'broken') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: {"id":"up', () => response.destroy());
    return;
  }
  if (json.stream) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-provider': 'yes' });
    const all = [
      ...pieces(id, [{ role: 'assistant', content: '' }, { content: 'wr' }, { content: 'ite to bob@example.org ü' }]),
      'data: [DONE]\n\n',
    ];
    for (const text of all) {
      sent.push(text);
      // a character is cut in two
      const bytes = Buffer.from(text);
      response.write(bytes.subarray(0, bytes.length - 7));
      await new Promise(setImmediate);
      response.write(bytes.subarray(bytes.length - 7));
    }
    response.end();
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  const last = json.messages.at(-1);
  const message =
    last.role === 'user'
      ? { role: 'assistant', content: null, tool_calls: [call] }
      : { role: 'assistant', content: 'Green tea.' };
  const choices = [{ index: 0, message, finish_reason: last.role === 'user' ? 'tool_calls' : 'stop' }];
  response.end(
    JSON.stringify({
      id,
      object: 'chat.completion',
      created: 1,
      model: 'big-1',
      choices,
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    }),
  );
}

const listen = (server: HttpServer) =>
  new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as { port: number }).port}/v1`));
  });

beforeEach(async () => {
  [seen, sent] = [[], []];
  folder = mkdtempSync(join(tmpdir(), 'heed-proxy-'));
  provider = createServer(respond);
  const upstream = `${await listen(provider)}/`;
  process.env.HEED_TEST_UPSTREAM_KEY = KEY;
  server = await serve({
    folder,
    port: 0,
    upstream,
    upstreamKey: 'HEED_TEST_UPSTREAM_KEY',
    redact: { ticket: 'T-\\d+' },
    now: () => TIME,
  });
  client = new OpenAI({ baseURL: server.url, apiKey: 'sk-of-the-caller-0123456789', maxRetries: 0 });
});
afterEach(async () => {
  await server?.close();
  provider?.closeAllConnections();
  provider?.close();
  delete process.env.HEED_TEST_UPSTREAM_KEY;
  rmSync(folder, { recursive: true, force: true });
});
/** What is recorded, which does not hold up the response; by the provider's ids. */
const recorded = async () => {
  for (const settle of server.context.hooks.settle) await settle();
  return server.context.database.selectFrom('completions').selectAll().orderBy('id').execute();
};
const post = (path: string, body: object, token = 'sk-of-the-caller-0123456789') =>
  fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, cookie: 'a=b' },
    body: JSON.stringify(body),
  });
const stream = () => {
  const content = 'card 4111 1111 1111 1111, order 4111 1111 1111 1112, ticket T-77';
  return post('/chat/completions', {
    model: 'big',
    stream: true,
    user: 'ann',
    messages: [{ role: 'user', content }],
  });
};
/** Feedback on the stream that came first, by the token that came with it. */
const edit = (response: Response) =>
  post(
    '/feedback',
    { completion_id: 'up-1', edit: 'Write to us.' },
    response.headers.get('heed-feedback-token') ?? undefined,
  );

it('passes streams on byte for byte, and records them redacted, without keys', async () => {
  const response = await stream();
  expect(await response.text()).toBe(sent.join(''));
  expect(response.headers.get('x-provider')).toBe('yes');
  const { headers } = seen.at(-1)!;
  expect([headers.authorization, headers.cookie]).toEqual([`Bearer ${KEY}`, undefined]);
  const [row] = await recorded();
  expect(row).toMatchObject({ id: 'up-1', model: 'big', version: 'big-1', user: 'ann' });
  expect(JSON.parse(row.choicesJson)[0]).toMatchObject({ text: 'write to [email] ü', finishReason: 'stop' });
  expect(JSON.parse(row.messagesJson)[0].content).toBe('card [card], order 4111 1111 1111 1112, ticket [ticket]');
  const bytes = readFileSync(join(folder, 'serve.db-wal'), 'latin1');
  for (const secret of [KEY, 'sk-of-the-caller', '4111 1111 1111 1111', 'bob@example'])
    expect(bytes).not.toContain(secret);
  expect((await edit(response)).status).toBe(200);
});

it('knows a stream by its first event, in however many pieces it comes', async () => {
  const event = pieces('up-7', [{ content: 'ü' }])[0];
  const through = async (chunks: Iterable<Buffer>) => {
    let recorded = '';
    const { id, stream } = await passedOn(Readable.from(chunks), (seen) => (recorded += Buffer.concat(seen)));
    return { id, text: await new Response(stream).text(), recorded };
  };
  for (const end of ['', 'data: [DONE]\n\n']) {
    const text = event + end;
    const expected = { id: 'up-7', text, recorded: text };
    expect(await through([...Buffer.from(text)].map((byte) => Buffer.of(byte)))).toEqual(expected);
    expect(await through([Buffer.from(text)])).toEqual(expected);
  }
  expect(await through([Buffer.from(': a comment\n\n'), Buffer.from(event)])).toMatchObject({ id: undefined });
  expect(await through([])).toEqual({ id: undefined, text: '', recorded: '' });
});

it('records the tool calls of an agent by session, and exports them once', async () => {
  expect((await edit(await stream())).status).toBe(200);
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Which tea?' }];
  const tools = [{ type: 'function' as const, function: { name: 'search', parameters: { type: 'object' } } }];
  const headers = { 'heed-session': 's1' };
  const first = await client.chat.completions.create({ model: 'big', messages, tools }, { headers });
  messages.push(first.choices[0].message, { role: 'tool', tool_call_id: 'call_1', content: 'green' });
  const second = await client.chat.completions.create({ model: 'big', messages, tools }, { headers });
  expect(second.choices[0].message.content).toBe('Green tea.');
  const rows = (await recorded()).map(({ metadataJson }) => JSON.parse(metadataJson));
  expect(rows.slice(1)).toMatchObject([
    { session: 's1', status: '200' },
    { session: 's1', status: '200' },
  ]);

  const all = async (input: object) => {
    const rows = [];
    for await (const row of exportServed({ folder, ...input })) rows.push(row);
    return rows;
  };
  const sft = await all({ format: 'sft' });
  expect(sft).toHaveLength(2); // the stream, and the session
  expect(sft[1]).toMatchObject({ session: 's1', tools });
  expect((sft[1].messages as { role: string }[]).map(({ role }) => role)).toEqual([
    'user',
    'assistant',
    'tool',
    'assistant',
  ]);
  expect(await all({ format: 'preference' })).toMatchObject([
    { chosen: [{ content: 'Write to us.' }], rejected: [{ content: 'write to [email] ü' }] },
  ]);
  await expect(all({ folder: join(folder, 'nowhere') })).rejects.toThrow('is not the folder of a server');
});

it('passes errors on, and says when the provider is not there or breaks off', async () => {
  const messages = [{ role: 'user' as const, content: 'Hello' }];
  await expect(client.chat.completions.create({ model: 'gone', messages })).rejects.toThrow('404 no such model');
  expect(JSON.parse((await recorded())[0].metadataJson)).toMatchObject({ status: '404' });
  await expect(client.chat.completions.create({ model: 'broken', messages })).rejects.toMatchObject({ status: 502 });
  // nothing but completions and the like goes on with the provider's key
  const before = seen.length;
  expect((await fetch(`${server.url}/batches`, { method: 'POST' })).status).toBe(404);
  expect(seen).toHaveLength(before);
  const hangsUp = createServer().on('connection', (socket) => socket.destroy());
  const other = await serve({ folder: join(folder, 'other'), port: 0, model: `endpoint:${await listen(hangsUp)}` });
  try {
    const lost = new OpenAI({ baseURL: other.url, apiKey: 'none', maxRetries: 0 });
    await expect(lost.chat.completions.create({ model: 'big', messages })).rejects.toMatchObject({ status: 502 });
  } finally {
    await other.close();
    hangsUp.close();
  }
  await expect(serve({ folder, port: 0, upstream: 'https://me:secret@api.example' })).rejects.toThrow(
    'contains a password',
  );
});

it('redacts what it says, and nothing else', () => {
  const rules = redactionRules({ name: 'Ann' });
  const clean = (text: string) => redacted({ a: [text] }, rules).a[0];
  expect(clean('mail ann.b+c@example.co.uk now')).toBe('mail [email] now');
  expect(clean('sk-abcdefghijklmnop1234 and ghp_0123456789abcdefghij')).toBe('[key] and [key]');
  expect(clean('Ann paid 5500-0000-0000-0004')).toBe('[name] paid [card]');
  expect(clean('2026-11-22 04:30, 3.14159, task-force, a@b')).toBe('2026-11-22 04:30, 3.14159, task-force, a@b');
  expect(clean('data:image/png;base64,AAAA')).toBe('[data]');
  expect([isCardNumber('4111111111111111'), isCardNumber('4111111111111112'), isCardNumber('42')]).toEqual([
    true,
    false,
    false,
  ]);
  expect(() => redactionRules({ bad: '(' })).toThrow('"bad" is not a regular expression');
});
