/** What deploy/ and scripts/ promise an operator: the image's steps, flags that exist, logs, signals, licenses. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { addItems, addPerson, assignItems, createProject, openDatabase } from '../src/feedback/index.ts';
import { heed, ownFolder, start } from './support/heed.ts';

const folder = ownFolder();
const root = fileURLToPath(new URL('..', import.meta.url));
const script = (name: string) => import(join(root, 'scripts', name));
const { readDockerfile } = await script('dockerfile.js');
const { installedPackages, isAllowed } = await script('licenses.js');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Step {
  instruction: string;
  flags: Record<string, string>;
  words: string[];
}

describe('the image', () => {
  const stages: { base: string; name?: string; steps: Step[] }[] = readDockerfile(read('deploy/Dockerfile'));
  const last = stages.at(-1)!;
  const of = (steps: Step[], instruction: string) => steps.filter((step) => step.instruction === instruction);

  it('installs production dependencies alone, and lets no package run a script', () => {
    const commands = stages.flatMap(({ steps }) => of(steps, 'RUN').map(({ words }) => words[0]));
    const installs = commands.filter((command) => /npm (ci|install)/.test(command));
    expect(installs).toHaveLength(2);
    for (const command of installs) expect(command).toMatch(/^npm ci .*--ignore-scripts/);
    const copied = of(last.steps, 'COPY');
    expect(copied.map(({ flags }) => flags.from)).toEqual(copied.map(() => 'install'));
    const install = stages.find(({ name }) => name === 'install')!;
    expect(of(install.steps, 'RUN')[0].words[0]).toContain('--omit=dev');
  });

  it('runs as a user who can write data alone, and says how it is', () => {
    expect(of(last.steps, 'USER').map(({ words }) => words)).toEqual([['node']]);
    expect(of(last.steps, 'RUN')).toEqual([]);
    expect(of(last.steps, 'VOLUME')[0].words).toEqual(['/data']);
    expect(of(last.steps, 'COPY').filter(({ flags }) => flags.chown)).toMatchObject([
      { words: ['/opt/data', '/data'] },
    ]);
    expect(of(last.steps, 'HEALTHCHECK')[0].words.at(-1)).toContain('/ready');
    expect(of(last.steps, 'ENTRYPOINT')[0].words).toEqual(['heed']);
    // the platform packages are of this version: each stage has the same base
    expect(new Set(stages.map(({ base }) => base)).size).toBe(1);
  });

  it('has no step that the script which tries it would leave out', () => {
    expect(() => readDockerfile('FROM a\nADD http://example.org /x')).toThrow('line 2: "ADD"');
    expect(readDockerfile('FROM a AS b\nCOPY --from=c --chown=d:e \\\n  x y\n')).toEqual([
      { base: 'a', name: 'b', steps: [{ instruction: 'COPY', flags: { from: 'c', chown: 'd:e' }, words: ['x', 'y'] }] },
    ]);
  });
});

it('the files of deploy/ pass flags that the studio has, and give it time to drain', async () => {
  const { stdout } = await heed(['studio', '--help'], folder.path);
  const flags = new Set(stdout.match(/--[\w-]+/g));
  const studio = /(?<=[\s"])--[a-z][\w-]+/g;
  const [, command] = /command:\n(.*?)\n {4}environment/s.exec(read('deploy/compose.yaml'))!;
  const [, unit] = /^ExecStart=(.*)$/m.exec(read('deploy/heed-studio.service'))!;
  const [, image] = /^CMD (.*)$/m.exec(read('deploy/Dockerfile'))!;
  for (const text of [command, unit, image]) {
    const used = text.match(studio)!;
    expect(used.length).toBeGreaterThan(3);
    expect(used.filter((flag) => !flags.has(flag))).toEqual([]);
  }
  const drain = Number(/--drain.*?default: (\d+)/s.exec(stdout)![1]);
  expect(Number(/stop_grace_period: (\d+)s/.exec(read('deploy/compose.yaml'))![1])).toBeGreaterThan(drain);
  expect(Number(/TimeoutStopSec=(\d+)/.exec(read('deploy/heed-studio.service'))![1])).toBeGreaterThan(drain);
});

const parsed = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('a studio with --log-format json', () => {
  it('logs a line for each request, and no token; SIGTERM lets a judgment finish, a second one does not wait', async () => {
    const store = join(folder.path, 'work.db');
    const database = await openDatabase(store);
    const { person, token } = await addPerson(database, 'ada', 'reviewer');
    const project = await createProject(database, 'p', { goldShare: 0 });
    const options = ['a', 'b'].map((text) => ({ kind: 'text' as const, text }));
    await addItems(database, project, [{ content: { prompt: 'a secret', options } }]);
    const [{ item }] = await assignItems(database, project, person.id);
    await database.close();
    const flags = ['--store', store, '--port', '0', '--log-format', 'json'];

    const begin = async () => {
      const running = start(['studio', ...flags], folder.path);
      await running.says('is open');
      return { ...running, url: /http:\/\/[\d.:]+/.exec(running.stderr())![0] };
    };
    const authorization = `Bearer ${token}`;
    /** Sends half of a judgment, once the studio waits for it. */
    const half = async (url: string) => {
      const body = JSON.stringify({ id: 'v', item: item.id, judgment: { kind: 'pair', choice: 'first' } });
      const headers = {
        ...{ authorization, 'content-type': 'application/json', 'content-length': String(body.length) },
        expect: '100-continue',
      };
      const sent = request(`${url}/api/projects/p/judgments`, { method: 'POST', headers });
      const status = new Promise<number>((resolve) => {
        sent.on('response', (response) => resolve(response.resume().statusCode!)).on('error', () => resolve(0));
      });
      sent.flushHeaders();
      await new Promise((resolve) => sent.on('continue', resolve));
      sent.write(body.slice(0, 20));
      return { status, finish: () => sent.end(body.slice(20)) };
    };

    const first = await begin();
    expect((await fetch(`${first.url}/api/projects`, { headers: { authorization } })).status).toBe(200);
    const people = { method: 'POST', headers: { authorization }, body: '{"name":"eve"}' };
    expect((await fetch(`${first.url}/api/people`, people)).status).toBe(403);
    const judgment = await half(first.url);
    first.child.kill('SIGTERM');
    await first.says('Closing the studio');
    judgment.finish();
    expect(await judgment.status).toBe(200);
    const { code, stdout, stderr } = await first.end;
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr).not.toMatch(/secret|#token|Bearer/);
    expect(stderr).not.toContain(token);
    const lines = parsed(stderr);
    for (const line of lines) {
      const level = line.message === 'refused' ? 'warn' : 'info';
      expect(line).toMatchObject({ time: expect.stringMatching(/Z$/), level });
    }
    expect(lines.filter(({ message }) => message === 'refused')).toMatchObject([
      {
        ...{ request: expect.stringMatching(/^req_/), method: 'POST', path: '/api/people', status: 403 },
        ...{ person: 'ada', address: '127.0.0.1', reason: expect.stringContaining('requires the role owner') },
      },
    ]);
    expect(lines.filter(({ message }) => message === 'request')).toMatchObject([
      { request: expect.stringMatching(/^req_/), method: 'GET', path: '/api/projects', status: 200 },
      { method: 'POST', path: '/api/people', status: 403 },
      {
        request: expect.stringMatching(/^req_/),
        method: 'POST',
        path: '/api/projects/:project/judgments',
        status: 200,
      },
    ]);

    const second = await begin();
    const lost = await half(second.url);
    second.child.kill('SIGTERM');
    await second.says('Closing the studio');
    second.child.kill('SIGTERM');
    await second.end;
    expect(second.child.signalCode).toBe('SIGTERM');
    expect(await lost.status).toBe(0);
  });
});

it('heed serve says on stderr who was refused, without asking for it', async () => {
  const flags = ['--folder', 'serve', '--port', '0'];
  const { stdout } = await heed(['serve', 'keys', 'add', 'ci', '--folder', 'serve', '--json'], folder.path);
  const { secret } = JSON.parse(stdout);
  const running = start(['serve', ...flags, '--trust-proxy', '--log-format', 'json'], folder.path);
  await running.says("OpenAI's API is at");
  const url = /http:\/\/[\d.:]+/.exec(running.stderr())![0];
  const headers = { authorization: `Bearer ${secret}`, 'x-forwarded-for': '203.0.113.5' };
  expect((await fetch(`${url}/metrics`, { headers })).status).toBe(403);
  running.child.kill('SIGTERM');
  const { stderr } = await running.end;
  expect(stderr).not.toContain(secret);
  expect(parsed(stderr).filter(({ message }) => message === 'refused')).toMatchObject([
    { level: 'warn', method: 'GET', path: '/metrics', status: 403, address: '203.0.113.5', key: 'ci' },
  ]);

  const text = start(['serve', ...flags], folder.path);
  const [said] = await once(text.child.stdout!, 'data');
  const [open] = /http:\/\/[\d.:]+/.exec(String(said))!;
  expect((await fetch(`${open}/v1/models`, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
  await text.says('Refused GET /v1/models with 401: unknown from 127.0.0.1: The key is not valid.');
  text.child.kill('SIGTERM');
  await text.end;
});

it('trainings log lines too: progress, and what went wrong', async () => {
  const few = ['--steps', '2', '--demonstrations', '20', '--samples.count', '0'];
  const flags = ['--out', 'run', '--log-format', 'json', '--log', 'prometheus:0'];
  const done = await heed(['sft', ...few, ...flags], folder.path);
  expect(done.code).toBe(0);
  const steps = parsed(done.stderr).filter(({ message }) => message === 'progress');
  expect(steps.at(-1)).toMatchObject({ level: 'info', step: 2, total: 2, metrics: { loss: expect.any(Number) } });
  const failed = await heed(['sft', '--data', 'missing.jsonl', '--log-format', 'json'], folder.path);
  expect(failed.code).toBeGreaterThan(0);
  expect(parsed(failed.stderr).at(-1)).toMatchObject({
    level: 'error',
    message: expect.stringContaining('missing.jsonl'),
  });
});

it('the page of the ASVS counts its lines', () => {
  const page = read('docs/lab/asvs.md');
  const lines = [...page.matchAll(/^\| \d+\.\d+\.\d+ \| ([12]) \| [^|]+ \| (met|n\/a|\*\*not met\*\*) \| \S/gm)];
  const count = (levels: string) =>
    ['met', 'n/a', '**not met**'].map((state) => lines.filter(([, l, s]) => levels.includes(l) && s === state).length);
  for (const [name, levels] of Object.entries({ 'level 1': '1', 'level 2': '2', 'together (253)': '12' })) {
    expect(page).toContain(`| ${name} | ${count(levels).join(' | ')} |`);
  }
  expect(lines).toHaveLength(253);
});

describe('what a release installs', () => {
  const lock = JSON.parse(read('package-lock.json'));

  it('has licenses that are allowed', () => {
    const packages = installedPackages(lock);
    expect(packages.length).toBeGreaterThan(50);
    expect(packages.filter(({ license }: { license: string }) => !isAllowed(license))).toEqual([]);
    expect(['(MIT OR GPL-3.0-only)', '(Apache-2.0 AND BSD-3-Clause)', 'ISC'].filter(isAllowed)).toHaveLength(3);
    expect(['GPL-3.0-only', '(MIT AND GPL-3.0-only)', 'none', 'MIT MIT', '(MIT'].filter(isAllowed)).toEqual([]);
  });

  it('is in the bill of materials, with ONNX Runtime', () => {
    const out = join(folder.path, 'heed.cdx.json');
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'sbom.js'), '--out', out]);
    expect(status, String(stderr)).toBe(0);
    const { bomFormat, metadata, components } = JSON.parse(readFileSync(out, 'utf8'));
    expect([bomFormat, metadata.component.name]).toEqual(['CycloneDX', 'heed']);
    const names = new Set(components.map(({ name }: { name: string }) => name));
    for (const { name } of installedPackages(lock)) expect(names).toContain(name);
    expect(names).toContain('heed-onnxruntime-linux-x64');
    expect(names).not.toContain('vitest');
  });

  it('is published with provenance, from actions that are pinned', () => {
    const workflow = read('.github/workflows/publish.yml');
    expect(workflow).toMatch(/npm publish .*--provenance/);
    expect(workflow).toContain('id-token: write');
    // before it packs: see SECURITY.md
    expect(workflow).toMatch(/npm audit --omit dev --audit-level moderate[\s\S]*npm run pack:all/);
    const daily = read('.github/workflows/audit.yml');
    expect(daily).toMatch(/schedule:[\s\S]*npm audit --omit dev/);
    for (const [, action] of `${workflow}${daily}`.matchAll(/uses: (\S+)/g)) expect(action).toMatch(/@[\da-f]{40}$/);
  });
});
