/** The studio's server, asked over HTTP as a page, a script and somebody hostile would. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addItems,
  addPerson,
  createProject,
  type Database,
  findProject,
  joinProjects,
  openDatabase,
  type Studio,
  setMembers,
  startStudio,
} from '../src/feedback/index.ts';
import { createRun, openRun } from '../src/run/index.ts';
import { ownFolder, start } from './support/heed.ts';

const folder = ownFolder();
let database: Database;
let studio: Studio;
let runs: string;
const tokens: Record<string, string> = {};
const errors: string[] = [];

const SCRIPT = '<img src=x onerror=alert(1)><script>alert(1)</script>';
const pair = (n: number) => ({
  content: {
    prompt: `${SCRIPT} ${n}`,
    options: [
      { kind: 'text' as const, text: `${SCRIPT} one ${n}` },
      { kind: 'text' as const, text: `two ${n}` },
    ],
  },
});

beforeAll(async () => {
  database = await openDatabase(join(folder.path, 'feedback.db'));
  for (const role of ['owner', 'reviewer', 'annotator'] as const) {
    tokens[role] = (await addPerson(database, `the ${role}`, role)).token;
  }
  const project = await createProject(database, 'p', { overlap: 2, goldShare: 0, seeOthers: true });
  await setMembers(database, project, ['the annotator']);
  await addItems(
    database,
    project,
    Array.from({ length: 20 }, (_, n) => ({ ...pair(n), source: 'secret source' })),
  );
  runs = join(folder.path, 'runs');
  studio = await startStudio({ database, runs, onError: (text) => errors.push(text) });
});
afterAll(async () => {
  await studio?.close();
  await database?.close();
});

interface Asking {
  token?: string;
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

async function ask(path: string, { token, method, body, headers = {} }: Asking = {}) {
  const response = await fetch(`${studio.url}/api${path}`, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : undefined,
  };
}

let judgments = 0;
const first = { kind: 'pair', choice: 'first' };

describe('a person', () => {
  it('signs in by the link once, judgments, changes and takes back', async () => {
    const token = new URL(studio.link).hash.slice('#token='.length);
    const signed = await ask('/session', { body: { token } });
    expect(signed).toMatchObject({ status: 200, json: { person: { name: 'me', role: 'owner' } } });
    expect((await ask('/session', { body: { token } })).status).toBe(401);
    const set = signed.headers.get('set-cookie')!;
    expect(set).toMatch(/HttpOnly/);
    expect(set).toMatch(/SameSite=Strict/);
    const cookie = set.split(';')[0];
    const headers = { cookie, 'x-heed-csrf': signed.json.csrf };
    expect((await ask('/session', { headers: { cookie } })).json).toEqual(signed.json);

    const { json } = await ask('/projects/p/next', { body: { count: 2 }, headers });
    expect(json.assignments).toHaveLength(2);
    const [{ item, shown }] = json.assignments;
    expect(Object.keys(item).sort()).toEqual(['content', 'id', 'practice']);
    const judgment = { id: 'mine', item: item.id, judgment: first, shown, duration: 900 };
    const voted = await ask('/projects/p/judgments', { body: judgment, headers });
    expect(voted).toMatchObject({ status: 200, json: { answered: 1 } });
    expect((await ask('/projects/p/judgments', { body: judgment, headers })).json).toEqual(voted.json);
    expect((await ask('/projects/p/undo', { body: { id: 'u', item: item.id }, headers })).json).toMatchObject({
      answered: 0,
    });
    expect((await ask('/projects/p', { headers })).json).toMatchObject({ progress: { items: 20, labels: 0, mine: 0 } });
    expect((await ask('/session', { method: 'DELETE', headers })).status).toBe(200);
    expect((await ask('/session', { headers: { cookie } })).status).toBe(401);
  });

  it('hears what others said only after saying it', async () => {
    const two = [tokens.annotator, tokens.reviewer];
    const { json } = await ask('/projects/p/next', { token: two[0], body: {} });
    const { item } = json.assignments[0];
    const own = await ask('/projects/p/judgments', {
      token: two[0],
      body: { id: `v${judgments++}`, item: item.id, judgment: first },
    });
    expect(own.json.others).toBeUndefined();
    const other = await ask('/projects/p/judgments', {
      token: two[1],
      body: { id: `v${judgments++}`, item: item.id, judgment: { kind: 'pair', choice: 'second' } },
    });
    expect(other.json.others).toEqual([{ person: 'the annotator', judgment: first }]);
    const found = (await ask('/projects/p/disagreements', { token: two[1] })).json;
    expect(found).toMatchObject([
      { item: { id: item.id }, judgments: [{ name: 'the annotator' }, { name: 'the reviewer' }] },
    ]);
    const decided = await ask('/projects/p/adjudicate', {
      token: two[1],
      body: { id: `v${judgments++}`, item: item.id, judgment: first },
    });
    expect(decided.status).toBe(200);
    expect(found[0].likeliest.probability).toBeGreaterThan(0);
    expect((await ask('/projects/p/disagreements', { token: two[1] })).json).toEqual([]);
    expect((await ask('/projects/p/quality', { token: two[1] })).json).toMatchObject({ judgments: 2 });
  });
});

describe('nobody gets at what is not theirs', () => {
  it.each<[string, string, Asking, number]>([
    ['no token', '/projects', {}, 401],
    ['a token that is none', '/projects', { token: 'x'.repeat(43) }, 401],
    ['an annotator making projects', '/projects', { token: 'annotator', body: { name: 'q' } }, 403],
    ['an annotator reading quality', '/projects/p/quality', { token: 'annotator' }, 403],
    ['an annotator adding people', '/people', { token: 'annotator', body: { name: 'eve', role: 'owner' } }, 403],
    ['a reviewer adding items', '/projects/p/items', { token: 'reviewer', body: { items: [] } }, 403],
    [
      'a page of another origin',
      '/projects/p/next',
      { token: 'annotator', body: {}, headers: { origin: 'https://evil.example' } },
      403,
    ],
    ['a body that is not JSON', '/projects/p/next', { token: 'annotator', body: '{"count":' }, 400],
    ['a wrong field', '/projects/p/next', { token: 'annotator', body: { count: -1 } }, 400],
    [
      'a judgment on nothing',
      '/projects/p/judgments',
      { token: 'annotator', body: { id: 'a', item: "' or 1=1 --", judgment: first } },
      400,
    ],
    ['a project that is not there', "/projects/'%3B drop table judgments/next", { token: 'annotator', body: {} }, 404],
    ['a name with markup', '/projects', { token: 'owner', body: { name: SCRIPT } }, 400],
    ['something that is not there', '/nothing', { token: 'owner' }, 404],
  ])('%s', async (_, path, { token, ...asking }, status) => {
    const got = await ask(path, { ...asking, token: token && (tokens[token] ?? token) });
    expect(got.status).toBe(status);
    expect(got.json.error.message).toBeTruthy();
    expect(got.text).not.toMatch(/ at .*\.[jt]s:\d+/);
  });

  it('annotators see their projects and no others, from one request to the next', async () => {
    await ask('/projects', { token: tokens.owner, body: { name: 'secret' } });
    const namesFor = async (role: string) =>
      (await ask('/projects', { token: tokens[role] })).json.map(({ name }: { name: string }) => name);
    expect(await namesFor('annotator')).not.toContain('secret');
    expect(await namesFor('reviewer')).toContain('secret');
    const next = { token: tokens.annotator, body: {} };
    for (const path of ['/projects/secret', '/events?project=secret']) {
      expect((await ask(path, { token: tokens.annotator })).status).toBe(404);
    }
    expect((await ask('/projects/secret/next', next)).status).toBe(404);
    const setTo = (members: string[]) =>
      ask('/projects/secret/members', { method: 'PUT', token: tokens.owner, body: { members } });
    expect((await setTo(['the annotator'])).json).toEqual({ members: ['the annotator'] });
    expect(await namesFor('annotator')).toContain('secret');
    expect((await ask('/projects/secret/next', next)).status).toBe(200);
    expect((await setTo(['the reviewer'])).status).toBe(400); // reviewers see all projects
    expect((await setTo(['nobody'])).status).toBe(400);
    await setTo([]);
    expect((await ask('/projects/secret/next', next)).status).toBe(404);
    expect((await ask('/audit', { token: tokens.reviewer })).status).toBe(403);
    const trail = (await ask('/audit?limit=3', { token: tokens.owner })).json;
    expect(trail).toMatchObject([
      { kind: 'members set', person: 'the owner', project: 'secret', detail: { members: [] } },
      { kind: 'members set' },
      { kind: 'project created' },
    ]);
    const csv = await ask('/audit/export?as=csv', { token: tokens.owner });
    expect(csv.text.split('\n')[0].trim()).toBe('seq,kind,person,project,time,detail,erased,hash');
    expect((await ask('/audit/check', { token: tokens.reviewer })).status).toBe(403);
    const check = (await ask('/audit/check', { token: tokens.owner })).json;
    expect(check).toMatchObject({ valid: true, head: { seq: trail[0].seq, hash: trail[0].hash } });
    const since = await ask(`/audit/check?head=${trail[2].hash}`, { token: tokens.owner });
    expect(since.json).toEqual({ ...check, since: trail[2].seq });
    expect((await ask('/audit/check?head=0', { token: tokens.owner })).status).toBe(400);
    expect((await ask('/projects/secret', { method: 'DELETE', token: tokens.owner })).status).toBe(200);
    expect(await namesFor('reviewer')).not.toContain('secret');
  });

  it('owners set retention rules, and export and delete a person', async () => {
    const { owner: token, reviewer } = tokens;
    const set = await ask('/retention', { method: 'PATCH', token, body: { rules: { drafts: 7, reasons: 90 } } });
    expect(set.json).toEqual({ store: { drafts: 7, reasons: 90 }, projects: {} });
    const unset = await ask('/retention', { method: 'PATCH', token, body: { rules: { reasons: null } } });
    expect(unset.json).toEqual({ store: { drafts: 7 }, projects: {} });
    expect((await ask('/retention', { token })).json).toEqual(unset.json);
    const dry = await ask('/retention/apply', { token, body: { dryRun: true } });
    expect(dry.json).toEqual({ dryRun: true, rules: unset.json, deleted: {} });
    await ask('/people', { token, body: { name: 'Zerlina' } });
    const data = await ask('/people/Zerlina/data', { token });
    expect([data.json.person.name, data.headers.get('content-disposition')]).toEqual([
      ...['Zerlina', expect.stringContaining('Zerlina.json')],
    ]);
    const forget = (body: object, as = token) => ask('/people/Zerlina/forget', { token: as, body });
    expect((await forget({ confirm: 'Zerlin' })).status).toBe(400);
    expect((await forget({ confirm: 'Zerlina' }, reviewer)).status).toBe(403);
    const { receipt } = (await forget({ confirm: 'Zerlina' })).json;
    expect(receipt).toMatchObject({ name: 'Zerlina', by: 'the owner', lines: 1 });
    expect((await ask('/people/Zerlina/data', { token })).status).toBe(400);
    const own = { token, body: { confirm: 'the owner' } };
    expect((await ask('/people/the%20owner/forget', own)).status).toBe(409);
    expect((await ask('/audit/check', { token })).json).toMatchObject({ valid: true });
    for (const path of ['/retention', '/people/Zerlina/data']) {
      expect((await ask(path, { token: reviewer })).status).toBe(403);
    }
  });

  it('a cookie without the word of its session changes nothing', async () => {
    const { headers, json } = await ask('/session', { body: { token: tokens.annotator } });
    const cookie = headers.get('set-cookie')!.split(';')[0];
    const send = (extra: Record<string, string>) =>
      ask('/projects/p/next', { body: {}, headers: { cookie, ...extra } });
    expect((await send({})).status).toBe(403);
    expect((await send({ 'x-heed-csrf': `${json.csrf}x` })).status).toBe(403);
    expect((await send({ 'x-heed-csrf': json.csrf })).status).toBe(200);
  });

  it('a host that the studio has not', async () => {
    const status = await new Promise<number>((resolve, reject) => {
      const { port } = new URL(studio.url);
      request({ host: '127.0.0.1', port, path: '/api/session', headers: { host: 'evil.example' } }, ({ statusCode }) =>
        resolve(statusCode!),
      )
        .on('error', reject)
        .end();
    });
    expect(status).toBe(403);
  });

  it.each([
    '/../package.json',
    '/..%2f..%2fpackage.json',
    '/assets/../../../package.json',
    '/%2e%2e/%2e%2e/package.json',
  ])('%s is no file', async (path) => {
    const body = await new Promise<string>((resolve, reject) => {
      const { port } = new URL(studio.url);
      // as it stands: fetch would tidy the path
      const socket = connect(Number(port), '127.0.0.1', () =>
        socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`),
      );
      let said = '';
      socket.on('data', (data) => {
        said += data;
      });
      socket.on('end', () => resolve(said)).on('error', reject);
    });
    expect(body).not.toContain('"version"');
  });

  it('an oversize body is refused, and the server lives', async () => {
    const large = await ask('/projects/p/items', {
      token: tokens.owner,
      body: `{"items":[],"x":"${'x'.repeat(65 * 2 ** 20)}"}`,
    });
    expect(large.status).toBe(413);
    expect((await ask('/projects', { token: tokens.owner })).status).toBe(200);
  });
});

it('text of all kinds comes back as text, as JSON that no browser takes for a page', async () => {
  const made = await ask('/projects', {
    token: tokens.owner,
    body: { name: 'texts', guidelines: SCRIPT, settings: { goldShare: 0, reason: 'optional' } },
  });
  expect(made.status).toBe(201);
  const members = { method: 'PUT', token: tokens.owner, body: { members: ['the annotator'] } };
  expect((await ask('/projects/texts/members', members)).status).toBe(200);
  await ask('/projects/texts/items', { token: tokens.owner, body: { items: [pair(1)] } });
  const { json, headers } = await ask('/projects/texts/next', { token: tokens.annotator, body: {} });
  expect(json.assignments[0].item.content.prompt).toBe(`${SCRIPT} 1`);
  const reason = `'; drop table judgments; -- ${SCRIPT} \u0000 \ud83d\ude00`;
  const judgment = { id: 'text', item: json.assignments[0].item.id, judgment: { ...first, reason } };
  expect((await ask('/projects/texts/judgments', { token: tokens.annotator, body: judgment })).status).toBe(200);
  const project = await findProject(database, 'texts');
  const [{ judgmentJson }] = await database.query
    .selectFrom('latest')
    .select('judgmentJson')
    .where('project', '=', project.id)
    .execute();
  expect(JSON.parse(judgmentJson).reason).toBe(reason);
  expect(headers.get('content-type')).toMatch(/^application\/json/);
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('content-security-policy')).toContain("default-src 'self'");
  expect(headers.get('content-security-policy')).not.toContain('unsafe');
  expect(errors).toEqual([]);
});

it('a judgment that was acknowledged is there after kill -9', async () => {
  const path = join(folder.path, 'killed.db');
  const store = await openDatabase(path);
  const project = await createProject(store, 'p', { goldShare: 0 });
  await addItems(
    store,
    project,
    Array.from({ length: 500 }, (_, n) => pair(n)),
  );
  const { person, token } = await addPerson(store, 'ada');
  await joinProjects(store, person, ['p']);
  await store.close();
  const { child, says, end } = start(['studio', '--store', path, '--port', '0', '--json'], folder.path);
  let said = '';
  child.stdout!.on('data', (data) => {
    said += data;
  });
  await says('is open');
  const url = /http:\/\/[\d.:]+/.exec(await untilTold(() => said))![0];
  const acknowledged: string[] = [];
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const post = async (what: string, body: object): Promise<{ assignments: { item: { id: string } }[]; seq?: number }> =>
    (await (
      await fetch(`${url}/api/projects/p/${what}`, { method: 'POST', headers, body: JSON.stringify(body) })
    ).json()) as never;
  const voting = (async () => {
    for (let i = 0; ; i++) {
      const { assignments } = await post('next', {});
      const { seq } = await post('judgments', { id: `judgment ${i}`, item: assignments[0].item.id, judgment: first });
      if (seq) acknowledged.push(`judgment ${i}`);
      if (acknowledged.length === 25) child.kill('SIGKILL');
    }
  })();
  await expect(voting).rejects.toThrow();
  await end;
  const again = await openDatabase(path);
  const kept = new Set((await again.query.selectFrom('judgments').select('id').execute()).map(({ id }) => id));
  expect(acknowledged.length).toBeGreaterThanOrEqual(25);
  for (const id of acknowledged) expect(kept).toContain(id);
  await again.close();
});

async function untilTold(said: () => string): Promise<string> {
  while (!said().includes('\n')) await new Promise((resolve) => setTimeout(resolve, 20));
  return said();
}

describe('runs', () => {
  const token = () => tokens.reviewer;
  const rows = 5000;
  beforeAll(() => {
    for (let n = 0; n < 3; n++) {
      const run = createRun(join(runs, `run ${n}`), {
        name: `run ${n}`,
        command: n === 2 ? 'ppo' : 'sft',
        config: { n },
        seed: n,
      });
      for (let step = 0; step < (n === 0 ? rows : 3); step++)
        run.log(step, { loss: 1 / (step + 1), ...(step % 10 === 0 && { eval: step }) });
      for (let step = 0; step < 8; step++)
        run.sample({ kind: step % 2 === 0 ? 'completion' : 'alert', step, text: SCRIPT });
      run.close();
    }
  });

  it('are listed, the newest first, and searched', async () => {
    const { json } = await ask('/runs?limit=2', { token: token() });
    expect(json).toMatchObject({ total: 3, runs: [{ id: 'run 2', command: 'ppo', running: false }, { id: 'run 1' }] });
    expect((await ask('/runs?search=ppo', { token: token() })).json).toMatchObject({ total: 1 });
    expect((await ask('/runs?limit=0', { token: token() })).status).toBe(400);
    expect((await ask('/runs')).status).toBe(401);
    for (const path of ['/runs', '/runs/run%200', '/machine']) {
      expect((await ask(path, { token: tokens.annotator })).status).toBe(403);
    }
  });

  it('tell their metrics in buckets, and their samples by kind and page', async () => {
    const { json } = await ask('/runs/run%200', { token: token() });
    expect(json).toMatchObject({
      rows,
      metrics: ['loss', 'eval'],
      samples: { completion: 4, alert: 4 },
      info: { config: { n: 0 } },
    });
    const {
      loss,
      eval: evaluated,
      none,
    } = (await ask('/runs/run%200/metrics?names=loss,eval,none&buckets=50&smooth=0.9', { token: token() })).json;
    expect(loss).toMatchObject({ points: rows });
    expect(loss.step).toHaveLength(50);
    expect(loss.max[0]).toBe(1);
    expect(evaluated.points).toBe(500);
    expect(none).toBeNull();
    const samples = (await ask('/runs/run%200/samples?kind=completion&limit=2&offset=1', { token: token() })).json;
    expect(samples).toMatchObject({ total: 4, samples: [{ step: 2, text: SCRIPT }, { step: 4 }] });
  });

  it.each(['..', '%2e%2e', '..%2f..', 'run%200%2f..', 'run%200~..', 'none'])('%s is no run', async (id) => {
    expect((await ask(`/runs/${id}/metrics?names=loss`, { token: token() })).status).toBe(404);
  });

  it('are followed as they grow, and again from where somebody stopped', async () => {
    const run = openRun(join(runs, 'run 1'));
    const response = await fetch(`${studio.url}/api/runs/run%201/stream`, {
      headers: { authorization: `Bearer ${token()}` },
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const read = async () => /id: (\d+)/.exec((await reader.read()).value ?? '')?.[1];
    expect(await read()).toBe('3');
    run.log(3, { loss: 0.5 });
    expect(await read()).toBe('4');
    await reader.cancel();
    run.close();
  });

  it('are followed together: who writes none of them any more, and what came meanwhile', async () => {
    const headers = { authorization: `Bearer ${token()}`, 'last-event-id': '5000,1' };
    const response = await fetch(`${studio.url}/api/runs/run%200/stream?with=run%202`, { headers });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let said = '';
    while (said.match(/\n\n/g)?.length !== 2) said += (await reader.read()).value;
    await reader.cancel();
    expect(said).toContain('id: 5000,1\n');
    expect(said).toContain('id: 5000,3\n');
    expect(said).toContain('"run":"run 2","rows":3,"running":false');
    expect((await ask('/runs/run%200/stream?with=none', { token: token() })).status).toBe(404);
  });

  it('show their report, which may run its own script and reach nothing', async () => {
    expect((await ask('/runs/run%200/report.html', { token: token() })).status).toBe(404);
    writeFileSync(join(runs, 'run 0', 'report.html'), '<h1>done</h1><script>document.title = 1</script>');
    const { text, headers } = await ask('/runs/run%200/report.html', { token: token() });
    expect(text).toContain('<h1>done</h1>');
    const policy = headers.get('content-security-policy')!;
    const hash = createHash('sha256').update('document.title = 1').digest('base64');
    expect(policy).toContain(`sandbox allow-scripts; default-src 'none'; script-src 'sha256-${hash}';`);
    expect((await ask('/runs/run%200/report.html')).status).toBe(401);
  });
});
