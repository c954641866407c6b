/** Runs the `heed` command in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, inject, vi } from 'vitest';

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  /** Settles once the command has written this to stderr. */
  says(text: string): Promise<void>;
  /** What it has written to stderr so far. */
  stderr(): string;
  end: Promise<Outcome>;
}

export const heedPath = () => join(inject('compiled'), 'bin', 'heed.js');

/** Commands that go on; a test that failed or took too long leaves none behind. */
const running = new Set<ChildProcess>();
const endAll = () => {
  for (const child of running) child.kill('SIGKILL');
};
process.once('exit', endAll);
process.once('SIGTERM', () => process.exit(143)); // of the tests themselves

/** A folder for this file's tests, gone afterwards, as is what they started in it. */
export function ownFolder(): { readonly path: string } {
  const folder = { path: '' };
  beforeAll(() => {
    folder.path = mkdtempSync(join(tmpdir(), 'heed-test-'));
  });
  afterAll(() => {
    endAll();
    rmSync(folder.path, { recursive: true, force: true, maxRetries: 5 }); // what was killed may still write
  });
  return folder;
}

export function start(args: readonly string[], folder: string, env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [heedPath(), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HEED_THREADS: '1', ...env },
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (data) => {
    said.stdout += data;
  });
  child.stderr.on('data', (data) => {
    said.stderr += data;
  });
  running.add(child);
  const end = once(child, 'close').then(([code]) => {
    running.delete(child);
    return { code, ...said };
  });
  return {
    child,
    async says(text) {
      while (!said.stderr.includes(text)) {
        if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode} before "${text}": ${said.stderr}`);
        await Promise.race([once(child.stderr, 'data'), end]);
      }
    },
    stderr: () => said.stderr,
    end,
  };
}

export const heed = (args: readonly string[], folder: string, env?: Record<string, string>): Promise<Outcome> =>
  start(args, folder, env).end;

/**
 * Starts the command, which ends as by SIGKILL or a power cut just before its n-th change of a file: the same moment on
 * every machine. `end` rejects if the command ends before that.
 */
export function startKilledAt(change: number, args: readonly string[], folder: string): Running {
  const preload = fileURLToPath(new URL('kill-at.cjs', import.meta.url));
  const env = { NODE_OPTIONS: `--require "${preload.replaceAll('\\', '/')}"`, HEED_TEST_KILL_AT: String(change) };
  const running = start(args, folder, env);
  const end = running.end.then((outcome) => {
    if (running.child.signalCode === 'SIGKILL') return outcome;
    throw new Error(`ended with ${outcome.code} before change ${change}: ${outcome.stderr}`);
  });
  return { ...running, end };
}

/** Runs the command until it ends as `startKilledAt` says. */
export const killAt = (change: number, args: readonly string[], folder: string): Promise<Outcome> =>
  startKilledAt(change, args, folder).end;

/**
 * Runs the command in this process, for proofs that are not about a process: a short command spends most of its time on
 * loading what it is made of. One at a time.
 */
export const call = (args: readonly string[], folder: string, env: Record<string, string> = {}): Promise<Outcome> =>
  callWith(args, folder, env, () => {});

/** As `call`, with Ctrl-C as soon as the command has written the text to stderr. */
export async function interrupt(after: string | RegExp, args: readonly string[], folder: string): Promise<Outcome> {
  const others = new Set(process.listeners('SIGINT'));
  let pressed = false;
  return callWith(args, folder, {}, (stderr) => {
    if (pressed || !(typeof after === 'string' ? stderr.includes(after) : after.test(stderr))) return;
    pressed = true;
    for (const listener of process.listeners('SIGINT')) if (!others.has(listener)) listener('SIGINT');
  });
}

let calling = false;

async function callWith(
  args: readonly string[],
  folder: string,
  env: Record<string, string>,
  onStderr: (said: string) => void,
): Promise<Outcome> {
  if (calling) throw new Error('one command at a time runs in this process');
  calling = true;
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += text;
      if (name === 'stderr') onStderr(said.stderr);
      return true;
    }),
  );
  const before = { folder: process.cwd(), env: { ...process.env } };
  process.chdir(folder);
  Object.assign(process.env, env);
  process.stdout.setMaxListeners(0); // each command listens for whoever stops reading
  try {
    const { main } = await import(join(inject('compiled'), 'dist', 'cli', 'main.js'));
    return { code: await main(args), ...said };
  } finally {
    process.chdir(before.folder);
    for (const name of Object.keys(env)) {
      if (before.env[name] === undefined) delete process.env[name];
      else process.env[name] = before.env[name];
    }
    process.exitCode = undefined;
    for (const spy of spies) spy.mockRestore();
    calling = false;
  }
}

/** The results of a sweep's runs so far, less what a clock says, in the order of their keys: several run at a time. */
export function resultsOf(sweep: string) {
  const path = join(sweep, 'results.jsonl');
  return (existsSync(path) ? readFileSync(path, 'utf8') : '')
    .split('\n')
    .filter(Boolean)
    .map((line) => ({ ...JSON.parse(line), seconds: 0 }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** The metrics of a run, less what a clock says. What follows the last line break is still being written. */
export const rowsOf = (run: string): Record<string, number>[] =>
  readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => ({ ...JSON.parse(line), time: 0 }));

/** All that a finished run leaves and no clock touches, bit for bit: rows, and digests of its samples and of its last tensors. */
export function traceOf(run: string) {
  const last = readdirSync(join(run, 'checkpoints')).sort().at(-1)!;
  const digest = (...names: string[]) =>
    createHash('sha256')
      .update(readFileSync(join(run, ...names)))
      .digest('hex');
  return {
    rows: rowsOf(run),
    samples: digest('samples.jsonl'),
    last,
    tensors: digest('checkpoints', last, 'tensors.safetensors'),
  };
}
