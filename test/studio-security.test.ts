/** The studio's server under hostile, slow and broken clients, on SQLite and PostgreSQL. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  addPerson,
  createClient,
  type Database,
  openDatabase,
  type RefusalEntry,
  type Studio,
  startStudio,
} from '../src/feedback/index.ts';
import { ownFolder, start } from './support/heed.ts';
import { sharedPostgres } from './support/postgres.ts';

const postgres = await sharedPostgres();
const folder = mkdtempSync(join(tmpdir(), 'heed-security-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

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
  const refusals: RefusalEntry[] = [];
  beforeAll(async () => {
    const at = await address();
    if (at === undefined) return;
    database = await openDatabase(at);
    for (const role of ['owner', 'reviewer', 'annotator'] as const)
      tokens[role] = (await addPerson(database, role, role)).token;
    studio = await startStudio({
      ...{ database, onError: (text) => errors.push(text), onRefusal: (entry) => refusals.push(entry) },
    });
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
    [
      'NUL in a judgment’s id',
      '/projects/p/judgments',
      `{"id":"\\u0000","item":"x","judgment":${JSON.stringify(first)}}`,
      400,
    ],
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
    ['a long id', '/projects/p/judgments', `{"id":"${'x'.repeat(1000)}","item":"x","judgment":{"kind":"skip"}}`, 400],
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

  it('tells who was refused, from where and why; what is hidden from somebody is refused too', async (context) => {
    if (!studio) return context.skip('PostgreSQL');
    const owner = createClient({ url: studio.url, token: tokens.owner });
    const { secret } = await owner.addKey({ name: 'ci', scopes: ['read'] });
    await owner.createProject('secret');
    refusals.length = 0;
    const wrong = 'w'.repeat(43);
    await ask('/projects', undefined, wrong);
    await ask('/session', JSON.stringify({ token: wrong }), wrong);
    await ask('/people', '{"name":"eve"}', tokens.annotator);
    await ask('/projects', '{"name":"new"}', secret);
    await ask('/projects/secret', undefined, tokens.annotator);
    await ask('/projects/none', undefined, tokens.annotator);
    await fetch(`${studio.url}/api/session`);
    await fetch(`${studio.url}/api/session`, { headers: { cookie: 'heed_session=ended' } });
    await fetch(`${studio.url}/metrics`, { headers: { authorization: `Bearer ${wrong}` } });
    const entry = { request: expect.stringMatching(/^req_/), address: expect.stringMatching(/127\.0\.0\.1$/) };
    const says = (text: string) => expect.stringContaining(text);
    expect(refusals).toEqual([
      { ...entry, method: 'GET', path: '/api/projects', status: 401, reason: says('not valid') },
      { ...entry, method: 'POST', path: '/api/session', status: 401, reason: says('not valid') },
      {
        ...{ ...entry, method: 'POST', path: '/api/people', status: 403, person: 'annotator' },
        reason: says('requires the role owner'),
      },
      {
        ...{ ...entry, method: 'POST', path: '/api/projects', status: 403, person: 'owner', key: 'ci' },
        reason: says('requires the scope write'),
      },
      {
        ...{ ...entry, method: 'GET', path: '/api/projects/:project', status: 404, person: 'annotator' },
        reason: says('no project named "secret"'),
      },
      { ...entry, method: 'GET', path: '/api/session', status: 401, reason: says('not signed in') },
      { ...entry, method: 'GET', path: '/metrics', status: 401, reason: says('holders of a token') },
    ]);
    for (const one of [secret, wrong, tokens.annotator]) expect(JSON.stringify(refusals)).not.toContain(one);
  });

  it('says of an expired token that it has expired, and whose it was; no session outlives its token', async (context) => {
    if (!studio) return context.skip('PostgreSQL');
    const owner = createClient({ url: studio.url, token: tokens.owner });
    const { person, token } = await owner.addPerson('temp', 'annotator', [], { days: 2 });
    expect((await ask('/session', JSON.stringify({ token }), tokens.owner)).status).toBe(200);
    const [session] = await owner.sessionsOf('temp');
    expect(session.expires - session.created).toBeLessThanOrEqual(2 * 24 * 3600 * 1000 + 1000);
    const account = async () => (await owner.people()).find(({ name }) => name === 'temp');
    expect(await account()).toMatchObject({ tokenUsed: true, active: true });
    const past = { tokenExpires: Date.UTC(2026, 0, 31) };
    await database.query.updateTable('people').set(past).where('id', '=', person.id).execute();
    refusals.length = 0;
    for (const asked of [ask('/projects', undefined, token), ask('/session', JSON.stringify({ token }), token)]) {
      const { status, text } = await asked;
      expect(status).toBe(401);
      expect(JSON.parse(text).error).toEqual({
        message: 'This token expired on 2026-01-31.',
        hint: expect.stringContaining('Ask an owner'),
      });
    }
    expect(refusals).toMatchObject([
      { status: 401, person: 'temp', reason: 'This token expired on 2026-01-31.' },
      { status: 401, person: 'temp', path: '/api/session' },
    ]);
    const [line] = await owner.audit({ limit: 1 });
    expect(line).toMatchObject({ kind: 'sign-in refused', detail: { name: 'temp' } });
    const renewed = await owner.newToken('temp');
    expect((await ask('/projects', undefined, renewed.token)).status).toBe(200);
    // a script of before tokens had dates sends no body
    expect((await ask('/people/temp/token', undefined, tokens.owner, 'POST')).status).toBe(200);
    expect((await ask('/people/temp/token', '{"days":0}', tokens.owner)).text).toContain('days: ');
  });

  it('who is shut out or has another role is so at once, in open sessions too', async (context) => {
    if (!studio) return context.skip('PostgreSQL');
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
    expect(await signIn('1.1.1.1', token)).toBe(200);
    expect(await signIn('1.1.1.1', 'one more guess')).toBe(429);
    const kinds = await database.query.selectFrom('events').select('kind').where('kind', 'like', 'sign%').execute();
    expect(kinds.filter(({ kind }) => kind === 'signed in')).toHaveLength(1);
    expect(kinds.filter(({ kind }) => kind === 'sign-in refused').length).toBeLessThanOrEqual(35);
    await studio.close();
  });

  it('the printed link works once, for ten minutes', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const studios = [await startStudio({ database }), await startStudio({ database })];
      const open = async (studio: Studio) => {
        const token = new URL(studio.link).hash.slice('#token='.length);
        const response = await fetch(`${studio.url}/api/session`, { method: 'POST', body: JSON.stringify({ token }) });
        return `${response.status} ${await response.text()}`;
      };
      vi.setSystemTime(Date.now() + 599_000);
      expect(await open(studios[0])).toMatch(/^200/);
      expect(await open(studios[0])).toMatch(/^401.*link has been used.*heed feedback users token me/);
      vi.setSystemTime(Date.now() + 2000);
      expect(await open(studios[1])).toMatch(/^401.*link has expired: it works for 10 minutes.*Restart/);
      for (const studio of studios) await studio.close();
    } finally {
      vi.useRealTimers();
    }
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

  /** Sends a head and the beginning of a body that never ends; resolves to the status of the response. */
  function halfSent(url: string, path: string, head: string, length = 63 * 2 ** 20) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    const status = new Promise<number>((resolve) => {
      socket.on('error', () => resolve(0));
      socket.on('close', () => resolve(0));
      socket.on('data', (data) => resolve(Number(/^HTTP\/1.1 (\d+)/.exec(String(data))?.[1])));
    });
    socket.write(`POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${head}`);
    socket.write(`Content-Length: ${length}\r\n\r\n`);
    for (let i = 0; i < 4 && length > 2 ** 20; i++) socket.write(Buffer.alloc(2 ** 20, 'x'));
    return { status, end: () => socket.destroy() };
  }

  it('reads no large body of a stranger, and only so many at once of anybody', async () => {
    const studio = await startStudio({ database });
    const before = process.memoryUsage.rss();
    const strangers = Array.from({ length: 40 }, () => halfSent(studio.url, '/api/session', ''));
    for (const { status } of strangers) expect(await status).toBe(413);
    for (const { end } of strangers) end();
    expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(400); // 160 MiB are what the sockets sent
    const [owner, annotator] = await Promise.all(
      (['owner', 'annotator'] as const).map((role) => addPerson(database, `sends as ${role}`, role)),
    );
    const by = ({ token }: { token: string }) => `Authorization: Bearer ${token}\r\n`;
    const send = (head: string, length?: number) => halfSent(studio.url, '/api/projects', head, length);
    const inChunks = async (path: string, text: string, person?: { token: string }) => {
      const body = new Blob([text]).stream();
      const headers = {
        'content-type': 'application/json',
        ...(person && { authorization: `Bearer ${person.token}` }),
      };
      const request = { method: 'POST', body, headers, duplex: 'half' } as RequestInit;
      return (await fetch(studio.url + path, request)).status;
    };
    expect(await send(by(annotator), 5 * 2 ** 20).status).toBe(413);
    expect(await inChunks('/api/projects', '{"name": "chunks"}', owner)).toBe(201);
    expect(await inChunks('/api/projects/chunks/next', `"${'x'.repeat(5 * 2 ** 20)}"`, annotator)).toBe(413);
    expect(await inChunks('/api/session', `"${'x'.repeat(5000)}"`)).toBe(413);
    const three = [send(by(owner)), send(by(owner)), send(by(owner))];
    expect(await Promise.race(three.map(({ status }) => status))).toBe(429); // the others are held for their bodies
    for (const { end } of three) end();
    // who sends nothing any more may send again
    await expect.poll(() => createClient({ url: studio.url, token: owner.token }).createProject('later')).toBeTruthy();
    await studio.close();
  });

  it('limits connections, and the event streams of a person', async () => {
    const studio = await startStudio({ database, limits: { streams: 2, connections: 6 } });
    const { token } = await addPerson(database, 'streams', 'owner');
    await createClient({ url: studio.url, token }).createProject('streamed');
    const headers = { authorization: `Bearer ${token}` };
    const gone = new AbortController();
    const listen = () => fetch(`${studio.url}/api/events?project=streamed`, { headers, signal: gone.signal });
    const statuses = [await listen(), await listen(), await listen()].map(({ status }) => status);
    expect(statuses).toEqual([200, 200, 429]);
    gone.abort();
    await expect
      .poll(async () => {
        const again = new AbortController();
        const { status } = await fetch(`${studio.url}/api/events?project=streamed`, { headers, signal: again.signal });
        again.abort();
        return status;
      })
      .toBe(200);
    const sockets = Array.from({ length: 12 }, () => connect(Number(new URL(studio.url).port), '127.0.0.1'));
    await new Promise<void>((resolve) => {
      let closed = 0;
      for (const socket of sockets) {
        socket.on('error', () => {});
        socket.once('close', () => ++closed === 6 && resolve());
      }
    });
    for (const socket of sockets) socket.destroy();
    await studio.close();
  });

  it('follows no symbolic link in a folder of runs', async () => {
    const runs = join(own.path, 'runs');
    const secret = join(own.path, 'secret');
    writeFileSync(secret, '{"step": 1, "secret": true}\n');
    for (const name of ['plain', 'linked']) {
      const run = join(runs, name);
      mkdirSync(run, { recursive: true });
      const versions = { heed: '0.1.0', node: '20', platform: 'linux' };
      const started = new Date().toISOString();
      const info = { format: 'heed run 1', name, command: 'ppo', config: {}, seed: 0, versions, started };
      writeFileSync(join(run, 'config.json'), JSON.stringify(info));
      for (const file of ['metrics.jsonl', 'samples.jsonl']) writeFileSync(join(run, file), '');
    }
    symlinkSync(secret, join(runs, 'linked', 'report.html'));
    symlinkSync(join(runs, 'plain'), join(runs, 'folder'));
    const studio = await startStudio({ database, runs });
    const { token } = await addPerson(database, 'reads runs', 'owner');
    const get = async (path: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const response = await fetch(`${studio.url}/api/runs${path}`, { headers });
      return `${response.status} ${await response.text()}`;
    };
    expect(await get('/plain')).toMatch(/^200/);
    expect(await get('/linked/report.html')).toMatch(/^404.*symbolic link: report.html/);
    expect(await get('/folder')).toMatch(/^404/);
    expect(await get('')).not.toContain('"folder"');
    await studio.close();
  });

  it('says that its disk is full, records nothing, and goes on when there is room', async () => {
    const path = join(own.path, 'full.db');
    const store = await openDatabase(path);
    const errors: string[] = [];
    const studio = await startStudio({ database: store, onError: (text) => errors.push(text) });
    const { token } = await addPerson(store, 'ada', 'owner');
    const client = createClient({ url: studio.url, token });
    await client.createProject('p', { settings: { goldShare: 0 } });
    await client.addItems('p', [pair('one'), pair('two')]);
    const [{ item }] = await client.next('p');
    // SQLite says the same of a file that may not grow as of a disk without room
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(store.query);
    await sql.raw(`pragma max_page_count = ${rows[0].page_count}`).execute(store.query);
    const reason = 'x'.repeat(100_000);
    const judgment = { id: 'v', item: item.id, judgment: { ...first, reason } };
    await expect(client.judge('p', judgment)).rejects.toMatchObject({
      status: 507,
      message: expect.stringContaining('disk is full'),
      hint: expect.stringContaining('Free space'),
    });
    expect(errors.join()).not.toContain('rollback');
    await sql.raw('pragma max_page_count = 1000000').execute(store.query);
    expect(await client.judge('p', judgment)).toMatchObject({ answered: 1 });
    await studio.close();
    await store.close();
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  it.each([
    ['text', Buffer.from('no database at all, but a text of some length '.repeat(100))],
    ['a damaged store', undefined],
  ])('says of %s in place of a store that it is damaged', async (_, content) => {
    const path = join(own.path, `damaged-${content ? 'text' : 'store'}.db`);
    if (content) writeFileSync(path, content);
    else {
      await (await openDatabase(path)).close();
      const bytes = readFileSync(path);
      bytes.fill(0x5a, 100, 4096);
      writeFileSync(path, bytes);
      for (const log of ['-wal', '-shm']) rmSync(`${path}${log}`, { force: true });
    }
    await expect(openDatabase(path)).rejects.toMatchObject({
      hint: expect.stringMatching(/damaged.*restore a backup/),
    });
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
