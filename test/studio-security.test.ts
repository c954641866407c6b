/** The studio's server under hostile, slow and broken clients, on SQLite and PostgreSQL. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addPerson,
  createClient,
  type Database,
  openDatabase,
  type Studio,
  startStudio,
} from '../src/feedback/index.ts';
import { ownFolder, start } from './support/heed.ts';
import { startPostgres } from './support/postgres.ts';

const postgres = await startPostgres();
const folder = mkdtempSync(join(tmpdir(), 'heed-security-'));
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await postgres?.stop();
});

const pair = (prompt: string) => ({
  content: { prompt, options: ['a', 'b'].map((text) => ({ kind: 'text' as const, text })) },
});
const first = { kind: 'pair', choice: 'first' } as const;

describe.each([
  ['SQLite', async () => join(folder, 'feedback.db')],
  ['PostgreSQL', async () => postgres?.database()],
])('%s', (_, address) => {
  let database: Database;
  let studio: Studio;
  const tokens: Record<string, string> = {};
  const errors: string[] = [];
  beforeAll(async () => {
    const at = await address();
    if (at === undefined) return;
    database = await openDatabase(at);
    for (const role of ['owner', 'reviewer', 'annotator'] as const)
      tokens[role] = (await addPerson(database, role, role)).token;
    studio = await startStudio({ database, onError: (text) => errors.push(text) });
    const owner = createClient({ url: studio.url, token: tokens.owner });
    await owner.createProject('p', { settings: { goldShare: 0 } });
    await owner.addItems('p', [pair('one'), pair('two')]);
  });
  afterAll(async () => {
    await studio?.close();
    await database?.close();
  });

  const ask = async (path: string, body?: string, token = tokens.owner, method = body ? 'POST' : 'GET') => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(`${studio.url}/api${path}`, { method, headers, body });
    return { status: response.status, text: await response.text() };
  };

  const nested = `${'['.repeat(60_000)}${']'.repeat(60_000)}`;
  const item = (extra: string) =>
    `{"items":[{"content":{"prompt":"x","options":[{"kind":"text","text":"a"},{"kind":"text","text":"b"}]}${extra}}]}`;
  it.each<[string, string, string | undefined, number]>([
    ['NUL in a source', '/projects/p/items', item(',"source":"a\\u0000b"'), 400],
    ['NUL in a topic', '/projects/p/items', item(',"topic":"\\u0000"'), 400],
    ['NUL in a vote’s id', '/projects/p/votes', `{"id":"\\u0000","item":"x","vote":${JSON.stringify(first)}}`, 400],
    ['NUL in a project’s name', '/projects', '{"name":"a\\u0000"}', 400],
    ['NUL in guidelines', '/projects', '{"name":"nul","guidelines":"\\u0000"}', 400],
    ['NUL in a person’s name', '/people', '{"name":"a\\u0000"}', 400],
    ['NUL in a path', '/projects/a%00b', undefined, 400],
    ['NUL in a query', '/events?project=%00', undefined, 400],
    ['a path that is no UTF-8', '/projects/%E0%A4%A', undefined, 400],
    ['half a character', '/projects/p/items', item(',"topic":"\\ud800"'), 200],
    ['a body cut off', '/projects/p/items', '{"items":[', 400],
    ['a list for an object', '/projects/p/next', '[]', 400],
    ['a huge count', '/projects/p/next', '{"count":1e308}', 400],
    ['a count of text', '/projects/p/next', '{"count":"1"}', 400],
    ['a long id', '/projects/p/votes', `{"id":"${'x'.repeat(1000)}","item":"x","vote":{"kind":"skip"}}`, 400],
    ['a long source', '/projects/p/items', item(`,"source":"${'x'.repeat(2000)}"`), 400],
    ['much metadata', '/projects/p/items', item(`,"metadata":{"x":"${'x'.repeat(200_000)}"}`), 400],
    ['metadata nested deeply', '/projects/p/items', item(`,"metadata":{"x":${nested}}`), 400],
    ['keys of prototypes', '/projects/p/items', item(',"metadata":{"__proto__":{"admin":true},"constructor":1}'), 200],
    ['priorities by a prototype', '/projects/p/priorities', '{"priorities":{"__proto__":1}}', 200],
  ])('%s', async (_, path, body, status) => {
    if (!studio) return;
    const got = await ask(path, body);
    expect(got.status, got.text).toBe(status);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
    expect(errors).toEqual([]);
  });

  it('who is shut out or has another role is so at once, in open sessions too', async (context) => {
    if (!studio) return context.skip();
    const signIn = async (token: string) => {
      const response = await fetch(`${studio.url}/api/session`, { method: 'POST', body: JSON.stringify({ token }) });
      const cookie = response.headers.get('set-cookie')!.split(';')[0];
      const { csrf } = (await response.json()) as { csrf: string };
      const send = async (path: string, method = 'GET', word = csrf) =>
        (await fetch(`${studio.url}/api${path}`, { method, headers: { cookie, 'x-heed-csrf': word } })).status;
      return { send, csrf };
    };
    const owner = createClient({ url: studio.url, token: tokens.owner });
    const [annotator, reviewer] = [await signIn(tokens.annotator), await signIn(tokens.reviewer)];
    // the word of one's own other session, or of somebody else's, is none
    expect(await annotator.send('/session', 'DELETE', reviewer.csrf)).toBe(403);
    expect(await annotator.send('/projects/p/quality')).toBe(403);
    await owner.changeRole('annotator', 'reviewer');
    expect(await annotator.send('/projects/p/quality')).toBe(200);
    await owner.changeRole('annotator', 'annotator');
    expect(await annotator.send('/projects/p/quality')).toBe(403);
    await owner.removePerson('annotator');
    expect(await annotator.send('/session')).toBe(401);
    expect((await ask('/session', undefined, tokens.annotator)).status).toBe(401);
    await owner.newToken('reviewer');
    expect(await reviewer.send('/session')).toBe(401);
    await expect(owner.removePerson('owner')).rejects.toMatchObject({ status: 409 });
    await expect(owner.changeRole('owner', 'annotator')).rejects.toMatchObject({ status: 409 });
  });
});

describe('one server', () => {
  const own = ownFolder();
  let database: Database;
  beforeAll(async () => {
    database = await openDatabase(':memory:');
  });
  afterAll(() => database.close());

  it('sign-ins that fail are limited by address, whoever’s token they guess; who has one may go on', async () => {
    const studio = await startStudio({ database, trustProxy: true });
    const { token } = await addPerson(database, 'guessed');
    const signIn = async (from: string, token: string) => {
      const headers = { 'x-forwarded-for': `6.6.6.6, ${from}` };
      return (await fetch(`${studio.url}/api/session`, { method: 'POST', headers, body: JSON.stringify({ token }) }))
        .status;
    };
    const statuses = await Promise.all(Array.from({ length: 60 }, (_, i) => signIn('1.1.1.1', `guess ${i}`)));
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(35);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(25);
    expect(await signIn('1.1.1.1', token)).toBe(429);
    expect(await signIn('2.2.2.2', token)).toBe(200);
    await studio.close();
  });

  it.each([
    [true, 'https', /; Secure/],
    [true, 'http', /^(?!.*Secure)/],
    [false, 'https', /^(?!.*Secure)/],
  ])('with a proxy trusted: %s, that says %s, cookies are %s', async (trustProxy, proto, expected) => {
    const studio = await startStudio({ database, trustProxy });
    const { hash } = new URL(studio.link);
    const response = await fetch(`${studio.url}/api/session`, {
      method: 'POST',
      headers: { 'x-forwarded-proto': proto },
      body: JSON.stringify({ token: hash.slice('#token='.length) }),
    });
    expect(response.headers.get('set-cookie')).toMatch(expected);
    await studio.close();
  });

  it('whoever sends headers drop by drop is shown out, and others are served meanwhile', async () => {
    const timeouts = { headersTimeout: 300, requestTimeout: 300, connectionsCheckingInterval: 100 };
    const studio = await startStudio({ database, timeouts });
    const sockets = Array.from({ length: 50 }, () => connect(Number(new URL(studio.url).port), '127.0.0.1'));
    const ended = sockets.map(
      (socket) =>
        new Promise<string>((resolve) => {
          let said = '';
          let drops: NodeJS.Timeout;
          socket.on('connect', () => {
            socket.write('GET /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\n');
            drops = setInterval(() => socket.write('X-Drop: 1\r\n'), 50);
          });
          socket.on('data', (data) => {
            said += data;
          });
          socket.on('error', () => {});
          socket.on('close', () => {
            clearInterval(drops);
            resolve(said);
          });
        }),
    );
    expect((await fetch(`${studio.url}/api/session`)).status).toBe(401);
    for (const said of await Promise.all(ended)) expect(said).toMatch(/^(HTTP\/1.1 408|$)/);
    await studio.close();
  });

  it('no token is ever written but in the printed link', async () => {
    const path = join(own.path, 'feedback.db');
    const store = await openDatabase(path);
    const { token } = await addPerson(store, 'ada', 'owner');
    await store.close();
    const { child, end } = start(['studio', '--store', path, '--port', '0'], own.path);
    let printed = '';
    child.stdout!.on('data', (data) => {
      printed += data;
    });
    while (!printed.includes('Ctrl-C')) {
      const ended = await Promise.race([once(child.stdout!, 'data').then(() => undefined), end]);
      if (ended) throw new Error(ended.stderr);
    }
    const [, url, linked] = /(http:\S+)\/#token=(\S+)/.exec(printed)!;
    const client = createClient({ url, token });
    await client.createProject('p');
    const made = await client.addPerson('eve');
    const post = (path: string, body: string) => fetch(`${url}/api${path}`, { method: 'POST', body });
    const secrets = [token, made.token];
    for (const token of [linked, made.token]) {
      const signed = await post('/session', JSON.stringify({ token }));
      secrets.push(/=([^;]+)/.exec(signed.headers.get('set-cookie')!)![1]);
      secrets.push(((await signed.json()) as { csrf: string }).csrf);
    }
    // what fails is what is told of
    await client.createProject('p').catch(() => {});
    await createClient({ url, token: `${token}x` })
      .projects()
      .catch(() => {});
    await post(`/session?token=${made.token}`, `{"token":"${made.token}`);
    await post('/session', JSON.stringify({ token: linked }));
    child.kill('SIGTERM');
    const { stdout, stderr } = await end;
    const all = `${stdout}${stderr}`;
    for (const secret of secrets) expect(all).not.toContain(secret);
    expect(all.split(linked)).toHaveLength(2);
  });
});
