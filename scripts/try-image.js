/**
 * Does the steps of deploy/Dockerfile without Docker, and tries what they leave: node scripts/try-image.js [FOLDER]
 *
 * Each stage is a folder below FOLDER (a temporary one by default), with this machine's Node in place of the base image.
 * What the last stage leaves is made read-only and started as it says, as another user if this one is root. It has to
 * pass its health check, drain on SIGTERM and exit with 0, and keep its data over a restart.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readDockerfile } from './dockerfile.js';

const context = fileURLToPath(new URL('..', import.meta.url));
const temporary = process.argv[2] === undefined;
const work = temporary ? mkdtempSync(join(tmpdir(), 'heed-image-')) : resolve(process.argv[2]);
/** Another user, such as the image's `node`; only root can become one. */
const other = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
const say = (text) => console.error(text);

const ignored = readFileSync(join(context, 'deploy', 'Dockerfile.dockerignore'), 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((pattern) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}(/|$)`));

/** Runs the steps of a stage. Its folders are made of those of earlier stages. */
function build({ steps }, root, roots) {
  const stage = { root, workdir: '/', env: {}, user: undefined };
  const at = (path) => join(root, resolve('/', stage.workdir, path));
  for (const { instruction, flags, words } of steps) {
    say(`${instruction} ${words.join(' ').slice(0, 100)}`);
    if (instruction === 'WORKDIR') {
      stage.workdir = resolve('/', stage.workdir, words[0]);
      mkdirSync(join(root, stage.workdir), { recursive: true });
    } else if (instruction === 'ENV') {
      const [, name, value] = /^(\w+)=(.*)$/.exec(words.join(' '));
      stage.env[name] = value;
    } else if (instruction === 'COPY') {
      const target = words.at(-1);
      for (const source of words.slice(0, -1)) copy(flags.from, source, target, roots, at);
      if (flags.chown && other.uid !== undefined) own(at(target));
    } else if (instruction === 'RUN') {
      const { status } = spawnSync('sh', ['-ec', words[0]], { cwd: at('.'), stdio: ['ignore', 2, 2], env: ownEnv() });
      if (status !== 0) throw new Error(`"${words[0]}" failed with status ${status}`);
    } else stage[instruction] = words;
  }
  return stage;
}

/** The environment without what npm tells the scripts that it runs. */
const ownEnv = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(?!config_(cache|registry|cafile))/i.test(name)),
  );

function copy(from, source, target, roots, at) {
  const into = from ? join(roots[from], source) : join(context, source);
  const keeps = (path) => from || !ignored.some((pattern) => pattern.test(relative(context, path)));
  const isFolder = !existsSync(into) || readdirSyncOrNothing(into) !== undefined;
  const to = !isFolder && target.endsWith('/') ? join(at(target), basename(into)) : at(target);
  mkdirSync(dirname(to), { recursive: true });
  cpSync(into, to, { recursive: true, filter: keeps, verbatimSymlinks: true });
}

function readdirSyncOrNothing(path) {
  try {
    return readdirSync(path);
  } catch {
    return undefined;
  }
}

const walk = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true });

function own(folder) {
  lchownSync(folder, other.uid, other.gid);
  for (const entry of walk(folder)) lchownSync(join(entry.parentPath, entry.name), other.uid, other.gid);
}

function makeReadOnly(folder) {
  for (const entry of walk(folder)) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) continue;
    let executable = entry.isDirectory();
    try {
      accessSync(path, constants.X_OK);
      executable = true;
    } catch {}
    chmodSync(path, executable ? 0o555 : 0o444);
  }
  chmodSync(folder, 0o555);
}

const freePort = () =>
  new Promise((found) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => found(String(port)));
    });
  });

/** Starts a command as the image would: `/…` is in the stage, the port is a free one. */
function start(stage, args, port) {
  const inside = (text) => (text.startsWith('/') ? join(stage.root, text) : text);
  const path = stage.env.PATH.split(':').flatMap((part) => [inside(part), part]);
  const env = { ...stage.env, PATH: [...path, dirname(process.execPath)].join(':'), HEED_PORT: port, HOME: '/nowhere' };
  const [program, ...rest] = args.map((arg) => (arg === '7331' ? port : inside(arg)));
  const cwd = join(stage.root, stage.workdir);
  const child = spawn(program, rest, { cwd, env, ...other, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].on('data', (data) => {
      said[name] += data;
    });
  }
  const end = once(child, 'close').then(([code, signal]) => ({ code, signal, ...said }));
  return { child, end };
}

async function outcome(stage, args, port = '0') {
  const { end } = start(stage, args, port);
  return end;
}

function check(holds, text, detail = '') {
  if (!holds) throw new Error(`${text}: no\n${detail}`);
  console.log(`ok  ${text}`);
}

/** Starts a server, waits for its health check, does `work`, and ends it by SIGTERM. */
async function trying(stage, args, name, work) {
  const port = await freePort();
  const { child, end } = start(stage, args, port);
  let healthy = false;
  for (let i = 0; i < 120 && !healthy && child.exitCode === null; i++) {
    await wait(500);
    healthy = (await outcome(stage, stage.HEALTHCHECK, port)).code === 0;
  }
  if (healthy) await work(`http://127.0.0.1:${port}`);
  child.kill('SIGTERM');
  const { code, stderr, stdout } = await end;
  check(healthy, `${name} passes the health check`, stderr + stdout);
  check(code === 0, `${name} ends with status 0 after SIGTERM`, stderr);
  return stderr + stdout;
}

try {
  mkdirSync(work, { recursive: true });
  chmodSync(work, 0o755);
  const roots = {};
  let stage;
  for (const [i, one] of readDockerfile(readFileSync(join(context, 'deploy', 'Dockerfile'), 'utf8')).entries()) {
    const root = join(work, one.name ?? 'image');
    if (existsSync(root)) throw new Error(`"${root}" exists: pass a new folder`);
    say(`--- stage ${i + 1}: ${one.name ?? 'the image'}`);
    mkdirSync(root);
    stage = build(one, root, roots);
    if (one.name) roots[one.name] = root;
  }
  const installed = join(stage.root, 'opt', 'heed');
  makeReadOnly(installed);
  const { devDependencies = {} } = JSON.parse(readFileSync(join(context, 'package.json'), 'utf8'));
  const there = Object.keys(devDependencies).filter((name) => existsSync(join(installed, 'node_modules', name)));
  check(there.length === 0, 'no development dependency is in the image', there.join());
  const touch = 'try { require("fs").writeFileSync(process.argv[1], "") } catch { process.exit(3) }';
  const written = await outcome(stage, ['node', '-e', touch, '/opt/heed/package.json']);
  check(written.code === 3, 'its user cannot change the program');
  const doctor = await outcome(stage, [...stage.ENTRYPOINT, 'doctor', '--json']);
  const engine = JSON.parse(doctor.stdout).checks.find(({ name }) => name === 'engine');
  check(engine.state === 'ok', 'the engine starts', JSON.stringify(engine));
  const store = ['--store', '/data/feedback.db'];
  const added = await outcome(stage, [
    ...stage.ENTRYPOINT,
    'feedback',
    'users',
    'add',
    'ada',
    '--role',
    'owner',
    ...store,
    '--json',
  ]);
  const { token } = JSON.parse(added.stdout);
  const ask = (url, init) =>
    fetch(url, { headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, ...init });
  const log = await trying(stage, [...stage.ENTRYPOINT, ...stage.CMD], 'the studio', async (url) => {
    check((await fetch(url)).headers.get('content-type').includes('html'), 'the studio has its page');
    const made = await ask(`${url}/api/projects`, { method: 'POST', body: '{"name":"kept"}' });
    check(made.ok, 'an owner makes a project', made.ok ? '' : await made.text());
  });
  const lines = log.trim().split('\n');
  check(
    lines.every((line) => JSON.parse(line).time) && !log.includes(token),
    'its log is JSON, without the token',
    log,
  );
  await trying(stage, [...stage.ENTRYPOINT, ...stage.CMD], 'the studio again', async (url) => {
    const projects = await (await ask(`${url}/api/projects`)).json();
    check(
      projects.some(({ name }) => name === 'kept'),
      'its data outlives a restart',
    );
  });
  const serve = ['serve', '--port', '7331', '--folder', '/data/serve', '--log-format', 'json'];
  await trying(stage, [...stage.ENTRYPOINT, ...serve], 'the server of models', async (url) => {
    const body = JSON.stringify({
      model: 'tiny',
      messages: [{ role: 'user', content: 'Hi' }],
      max_completion_tokens: 4,
    });
    const models = await (await fetch(`${url}/v1/models`)).json();
    const model = models.data[0].id;
    const response = await ask(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: body.replace('"tiny"', JSON.stringify(model)),
    });
    check(response.ok, 'a model answers', await response.text());
  });
  const run = ['sft', '--steps', '2', '--out', '/data/runs/one', '--json', '--log-format', 'json'];
  const trained = await outcome(stage, [...stage.ENTRYPOINT, ...run]);
  check(trained.code === 0, 'a training ends well', trained.stderr);
} finally {
  if (temporary) rmSync(work, { recursive: true, force: true });
}
