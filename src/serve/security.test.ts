import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import OpenAI, { AuthenticationError, RateLimitError } from 'openai';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { heedError } from '../../test/support/gradients.ts';
import type { RefusalEntry } from '../http/refusals.ts';
import { addKey, removeKey } from './keys.ts';
import { type ServeInput, type Server, serve } from './serve.ts';

const tiny = fileURLToPath(new URL('../../test/fixtures/models/tiny-llama', import.meta.url));
let folder: string;
let server: Server;
let notices: string[];
let refusals: RefusalEntry[];
/** The server's clock: it stands still unless a test moves it. */
let time = 0;
const open = async (more: ServeInput = {}) => {
  const [told, refused] = [notices, refusals]; // what a server says late is not of the next test
  const onRefusal = (entry: RefusalEntry) => refused.push(entry);
  const onNotice = (text: string) => told.push(text);
  server = await serve({ models: { tiny }, folder, port: 0, onNotice, onRefusal, now: () => time, ...more });
};
const clientOf = (apiKey: string) => new OpenAI({ baseURL: server.url, apiKey, maxRetries: 0 });
beforeEach(() => {
  time = Date.UTC(2026, 10, 22, 12);
  folder = mkdtempSync(join(tmpdir(), 'heed-serve-'));
  notices = [];
  refusals = [];
});
afterEach(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const brief = { model: 'tiny', messages: [{ role: 'user' as const, content: 'Hello' }], max_completion_tokens: 4 };

/** A request with any headers: fetch sets Host by itself. */
const raw = (path: string, headers: Record<string, string>, method = 'GET', body?: string) =>
  new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((resolve, reject) => {
    const url = new URL(path, server.url);
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });

it('asks for a key as soon as there is one, and keeps to its scopes, quotas and rate', async () => {
  await open();
  const { database } = server.context;
  await clientOf('none').chat.completions.create(brief);
  const { secret } = await addKey(database, 'louise', { scopes: ['chat'], requestsPerMinute: 3, tokensPerDay: 10_000 });
  await expect(clientOf('none').models.list()).rejects.toBeInstanceOf(AuthenticationError);
  const client = clientOf(secret);
  const { response } = await client.chat.completions.create(brief).withResponse();
  expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('2');
  expect(response.headers.get('x-ratelimit-remaining-tokens')).toBe('10000');
  await expect(client.models.delete('tiny')).rejects.toMatchObject({ status: 403, code: 'insufficient_scope' });
  await client.models.list();
  const limited = await client.models.list().catch((error) => error);
  expect(limited).toBeInstanceOf(RateLimitError);
  expect(limited.headers.get('retry-after')).toBe('20');
  time += 20_000;
  await client.models.list();
  await expect(client.models.list()).rejects.toBeInstanceOf(RateLimitError);
  const { secret: spender } = await addKey(database, 'ben', { budget: 5 });
  await clientOf(spender).chat.completions.create(brief);
  await expect(clientOf(spender).models.list()).rejects.toMatchObject({ code: 'insufficient_quota' });
  time += 24 * 3600 * 1000; // a budget is for good, unlike tokens of a day
  await expect(clientOf(spender).models.list()).rejects.toMatchObject({ code: 'insufficient_quota' });
  await removeKey(database, 'louise');
  await expect(client.models.list()).rejects.toBeInstanceOf(AuthenticationError);
  await expect(addKey(database, 'ben')).rejects.toThrow(heedError(/already a key/, /./));
  // the secret itself is nowhere in the file
  const rows = JSON.stringify(await database.selectFrom('keys').selectAll().execute());
  expect(rows).not.toContain(spender.slice(5));
});

it('is for this machine alone without keys', async () => {
  await expect(serve({ models: { tiny }, folder, port: 0, host: '0.0.0.0' })).rejects.toThrow(
    heedError(/without a key/, /keys add/),
  );
  await open({ allowOrigin: ['https://good.example'] });
  const chat = '/v1/models';
  expect((await raw(chat, { host: 'evil.example' })).status).toBe(403);
  expect((await raw(chat, { origin: 'https://evil.example' })).status).toBe(403);
  const good = await raw(chat, { origin: 'https://good.example' });
  expect(good).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': 'https://good.example' } });
  expect((await raw(chat, { origin: 'https://good.example' }, 'OPTIONS')).status).toBe(204);
});

it('takes every header of a client in an allowed page, and lets it read what is left of its limits', async () => {
  await open({ allowOrigin: ['https://good.example'] });
  const { secret } = await addKey(server.context.database, 'louise', { requestsPerMinute: 1 });
  const asked = 'authorization,content-type,x-stainless-os,x-stainless-retry-count,user-agent';
  const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': asked };
  const completion = await raw('/v1/chat/completions', { origin: 'https://good.example', ...preflight }, 'OPTIONS');
  expect(completion).toMatchObject({ status: 204, headers: { 'access-control-allow-headers': asked } });
  const evil = await raw('/v1/chat/completions', { origin: 'https://evil.example', ...preflight }, 'OPTIONS');
  expect(evil.status).toBe(403);
  expect(evil.headers).not.toHaveProperty('access-control-allow-headers');
  const page = { origin: 'https://good.example', authorization: `bearer ${secret}` };
  expect((await raw('/v1/models', page)).status).toBe(200);
  expect(await raw('/v1/models', page)).toMatchObject({
    status: 429,
    headers: {
      'access-control-allow-origin': 'https://good.example',
      'access-control-expose-headers': '*',
      'retry-after': '60',
      'x-ratelimit-remaining-requests': '0',
    },
  });
});

it('takes HEAD where it takes GET, and says what a path takes', async () => {
  await open();
  const head = await raw('/v1/models', {}, 'HEAD');
  expect([head.status, head.text]).toEqual([200, '']);
  const put = await raw('/v1/chat/completions', {}, 'PUT', '{}');
  expect([put.status, put.headers.allow]).toEqual([405, 'POST, GET']);
  expect((await raw('/v1/chat/completions', {}, 'OPTIONS')).status).toBe(405);
  expect((await raw('/v1/chat/nothing', {}, 'HEAD')).status).toBe(404);
});

it('tells who was refused, from where and why, and never with which key', async () => {
  await open();
  const { secret } = await addKey(server.context.database, 'louise');
  const wrong = `heed-${'x'.repeat(43)}`;
  await raw('/v1/models', { authorization: `Bearer ${wrong}` });
  await raw('/v1/models', {});
  await raw('/v1/models/tiny', { authorization: `Bearer ${secret}` }, 'DELETE');
  await raw('/v1/models', { authorization: `Bearer ${secret}`, host: 'evil.example' });
  const entry = { request: expect.stringMatching(/^req_/), address: expect.stringMatching(/127\.0\.0\.1$/) };
  expect(refusals).toEqual([
    { ...entry, method: 'GET', path: '/v1/models', status: 401, reason: expect.stringContaining('not valid') },
    { ...entry, method: 'GET', path: '/v1/models', status: 401, reason: expect.stringContaining('has no key') },
    {
      ...entry,
      method: 'DELETE',
      path: '/v1/models/:model{.+}',
      status: 403,
      key: 'louise',
      reason: expect.stringContaining('scope "train"'),
    },
    // whom a key belongs to is not looked up under a name that is not the server's
    { ...entry, method: 'GET', path: '/v1/models', status: 403, reason: expect.stringContaining('evil.example') },
  ]);
  for (const key of [secret, wrong]) expect(JSON.stringify(refusals)).not.toContain(key.slice(5));
});

it('counts wrong keys by the address of the client where it trusts a proxy, which makes a key needed', async () => {
  await expect(serve({ models: { tiny }, folder, port: 0, trustProxy: true })).rejects.toThrow(
    heedError(/through the proxy .* without a key/, /keys add/),
  );
  const statuses = async (from: string, count: number) => {
    const headers = { authorization: 'Bearer wrong', 'x-forwarded-for': `6.6.6.6, ${from}` };
    const all = [];
    for (let i = 0; i < count; i++) all.push((await raw('/v1/models', headers)).status);
    return all;
  };
  const most = [...new Array(30).fill(401), 429];
  await open();
  const { secret } = await addKey(server.context.database, 'louise');
  // without the option, the header says nothing: it could be forged
  expect(await statuses('1.1.1.1', 31)).toEqual(most);
  expect(await statuses('2.2.2.2', 1)).toEqual([429]);
  await server.close();
  refusals.length = 0;
  await open({ trustProxy: true });
  expect(await statuses('1.1.1.1', 31)).toEqual(most);
  expect(await statuses('2.2.2.2', 1)).toEqual([401]);
  expect(refusals.at(-2)).toMatchObject({
    address: '1.1.1.1',
    status: 429,
    reason: expect.stringContaining('wrong keys'),
  });
  expect(refusals.at(-1)).toMatchObject({ address: '2.2.2.2', status: 401 });
  const authorization = `Bearer ${secret}`;
  expect((await raw('/v1/models', { authorization, 'x-forwarded-for': '1.1.1.1' })).status).toBe(200);
  // the proxy says which scheme a page was loaded by
  const { host } = new URL(server.url);
  const page = { authorization, origin: `https://${host}` };
  expect((await raw('/v1/models', { ...page, 'x-forwarded-proto': 'https' })).status).toBe(200);
  expect((await raw('/v1/models', { ...page, 'x-forwarded-proto': 'http' })).status).toBe(403);
  // with the last key gone, nobody may do everything
  await removeKey(server.context.database, 'louise');
  expect((await raw('/v1/models', {})).status).toBe(401);
});

it('refuses bodies that are too large, and takes those in chunks', async () => {
  await open();
  const large = await raw('/v1/chat/completions', { 'content-length': String(2 ** 24) }, 'POST').catch(
    (error) => error,
  );
  expect(large.status).toBe(413);
  const chunked = { 'transfer-encoding': 'chunked', 'content-type': 'application/json' };
  const sent = JSON.stringify(brief);
  expect((await raw('/v1/chat/completions', chunked, 'POST', sent)).status).toBe(200);
  const endless = raw('/v1/chat/completions', chunked, 'POST', `"${'x'.repeat(2 ** 24)}"`).catch((error) => error);
  expect((await endless).status).toBe(413);
  expect(
    (await raw('/v1/chat/completions', { 'content-type': 'application/json' }, 'POST', '['.repeat(5000))).status,
  ).toBe(400);
});

it('says that its disk is full or read-only, and goes on when it is not', async () => {
  await open();
  const { database } = server.context;
  const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`${i}`, 'x'.repeat(500)]));
  const ask = () => clientOf('none').chat.completions.create({ ...brief, store: true, metadata });
  // SQLite says the same of a file that may not grow as of a disk without room
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(database);
  await sql.raw(`pragma max_page_count = ${rows[0].page_count}`).execute(database);
  await expect(ask()).rejects.toMatchObject({
    status: 507,
    message: expect.stringContaining('disk is full'),
  });
  await sql.raw('pragma max_page_count = 1000000').execute(database);
  await sql.raw('pragma query_only = on').execute(database);
  await expect(ask()).rejects.toMatchObject({
    status: 507,
    message: expect.stringContaining('disk is read-only'),
  });
  await sql.raw('pragma query_only = off').execute(database);
  expect((await ask()).choices).toHaveLength(1);
  expect(notices.join()).toContain('full');
});

it('sends those away who would wait too long, and ends what takes too long', async () => {
  await open({ queue: 2 });
  const client = clientOf('none');
  await expect(client.chat.completions.create({ ...brief, n: 3 })).rejects.toMatchObject({
    code: 'queue_full',
    status: 429,
  });
  await server.close();
  await open({ timeout: 0.001 });
  using model = await server.context.shelf.open('tiny');
  await model.queue.pause(); // it writes nothing, however fast the machine is
  await expect(clientOf('none').chat.completions.create(brief)).rejects.toMatchObject({ status: 504 });
  model.queue.resume();
});

it('has models that were added after a restart, and frees those that are not in use', async () => {
  const lora = `${tiny}-lora`;
  await open({ modelMemory: 1e-4 });
  await server.context.shelf.add({ name: 'ft:tiny:heed::1', folder: lora, parent: 'tiny' });
  const write = (model: string) =>
    clientOf('none').chat.completions.create({ ...brief, model, seed: 1, temperature: 0 });
  const text = (await write('ft:tiny:heed::1')).choices[0].message.content;
  expect(text).not.toBe((await write('tiny')).choices[0].message.content);
  expect(server.context.shelf.loaded().map(({ name }) => name)).toEqual(['tiny']);
  await server.close();
  await open();
  expect((await write('ft:tiny:heed::1')).choices[0].message.content).toBe(text);
  await Promise.all(['tiny', 'ft:tiny:heed::1', 'tiny'].map(write));
  expect(server.context.shelf.loaded()).toHaveLength(2);
});

it('counts, and says nothing of what people write', async () => {
  await open();
  const client = clientOf('none');
  await client.chat.completions.create({
    ...brief,
    user: 'louise',
    messages: [{ role: 'user', content: 'my secret' }],
  });
  const { text } = await raw('/metrics', {});
  expect(text).toContain('heed_requests_total{method="POST",path="/v1/chat/completions",status="200"} 1');
  expect(text).toMatch(/heed_tokens_total\{kind="completion"\} [1-4]\n/);
  expect(text).not.toMatch(/secret|louise/);
  expect(notices.join()).not.toContain('secret');
  const forgotten: string[] = [];
  server.context.hooks.forget.push(async (user) => {
    forgotten.push(user);
    return { feedback: 0 };
  });
  const deleted = await raw('/v1/users/louise/data', {}, 'DELETE');
  expect(JSON.parse(deleted.text)).toMatchObject({ deleted: { completions: 1, feedback: 0 } });
  expect(forgotten).toEqual(['louise']);
  await server.close();
  await open({ logText: true });
  await clientOf('none').chat.completions.create(brief);
  expect(notices.join()).toContain('Hello');
});

it('lets completions under way end before it closes, and takes no new ones', async () => {
  await open({ drain: 240 });
  const client = clientOf('none');
  using model = await server.context.shelf.open('tiny');
  await model.queue.pause();
  const running = client.chat.completions.create({ ...brief, n: 3 });
  await eventually(() => expect(model.queue.waiting).toBe(3));
  const closing = server.close();
  expect((await raw('/health', {})).status).toBe(200);
  expect((await raw('/ready', {})).status).toBe(503);
  expect(await client.models.list().catch((error) => error)).toMatchObject({ status: 503 });
  model.queue.resume();
  expect((await running).choices.map(({ finish_reason }) => finish_reason)).toEqual(
    new Array(3).fill(expect.stringMatching(/stop|length/)),
  );
  await closing;
});
