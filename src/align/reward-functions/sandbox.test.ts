/** Attacks on the sandbox. They run with whatever isolation this machine has; those that need namespaces are skipped without. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, expect, it, vi } from 'vitest';
import type { Completion } from './reward-function.ts';
import {
  byPermissions,
  runSandboxed,
  type SandboxEnd,
  type SandboxOptions,
  type SandboxResult,
  sandboxSchema,
  sandboxSupport,
} from './sandbox.ts';
import { passesTests, programIn } from './unit-tests.ts';

const support = { javascript: await sandboxSupport('javascript'), python: await sandboxSupport('python') };
const hasPython = support.python.isolation !== undefined;
/** What no other file, variable or process is called. */
const mark = `heed-test-${randomBytes(8).toString('hex')}`;
vi.stubEnv('HEED_TEST_SECRET', mark);
afterAll(() => void vi.unstubAllEnvs());

/** Seconds that no program here needs. */
const seconds = 300;
const javascript = (source: string, options: SandboxOptions = {}, signal?: AbortSignal) =>
  runSandboxed(source, { isolation: 'best', seconds, ...options }, signal);
const python = (source: string, options: SandboxOptions = {}) =>
  runSandboxed(source, { language: 'python', seconds, ...options });

/** Waits until a process with the mark in its command runs, or none does. Where commands are not to be seen, it does not. */
async function untilRunning(expected: boolean): Promise<void> {
  if (process.platform !== 'linux') return;
  const isMarked = (id: string) => {
    try {
      return /^\d+$/.test(id) && readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(mark);
    } catch {
      return false;
    }
  };
  await vi.waitUntil(() => readdirSync('/proc').some(isMarked) === expected, { timeout: 120_000 });
}

it('runs JavaScript, and says how it was kept apart', async () => {
  const result = await javascript('console.log(6 * 7); console.error("noted")');
  expect(result).toMatchObject({ end: 'exit', stdout: '42\n', stderr: 'noted\n' });
  expect(result.isolation).toBe(support.javascript.isolation);
  expect((await javascript('throw new TypeError("no")')).end).toBe('failed');
});

const attacks = (
  [
    ['an endless loop', 'process.on("SIGTERM", () => {}); for (;;);', 'time', { seconds: 1 }],
    ['10 GB in buffers', 'const all = []; for (;;) all.push(Buffer.alloc(2 ** 30, 1));', 'memory'],
    ['10 GB in objects', 'const all = []; for (;;) all.push(new Array(1e5).fill({}));', 'memory', { memory: 64 }],
    ['a flood of output', 'for (;;) console.log("x".repeat(1000));', 'output'],
    ['reading the passwords', 'import fs from "fs"; console.log(fs.readFileSync("/etc/passwd", "utf8"));', 'denied'],
    ['writing outside', `import fs from "fs"; fs.writeFileSync("/usr/${mark}", "x");`, 'denied'],
    ['another program', 'import { execSync } from "child_process"; execSync("id");', 'denied'],
    ['threads', 'import { Worker } from "worker_threads"; new Worker("for(;;);", { eval: true });', 'denied'],
    ['the network', 'await fetch("http://127.0.0.1:8080");', 'denied'],
    ['a socket', 'import net from "net"; net.connect(9, "127.0.0.1").on("error", (e) => { throw e; });', 'denied'],
  ] as [string, string, SandboxEnd, SandboxOptions?][]
).map(([name, source, end, options = {}]) => ({ name, source, end, options }));

it.each(attacks)('contains JavaScript: $name', async ({ source, end, options }) => {
  checkContained(await javascript(source, options), end);
});

it.each(attacks)('contains JavaScript without namespaces: $name', async ({ source, end, options }) => {
  checkContained(await byPermissions(source, sandboxSchema.parse({ seconds, ...options })), end);
});

function checkContained(result: SandboxResult, end: SandboxEnd) {
  expect([result.end, result.stderr.slice(0, 300)]).toEqual([end, expect.anything()]);
  expect(result.stdout.length + result.stderr.length).toBeLessThanOrEqual(64 * 1024);
  expect(result.stdout).not.toContain('root:');
  expect(existsSync(`/usr/${mark}`)).toBe(false);
}

it.each(["terminate called after throwing an instance of 'std::bad_alloc'", '# Fatal process out of memory: Zone'])(
  'knows a lack of memory by the words of C++ and V8: %s',
  async (words) => {
    const { end } = await javascript(`process.stderr.write(${JSON.stringify(words)}); process.exitCode = 134;`);
    expect(end).toBe('memory');
  },
);

it('hides the environment', async () => {
  expect((await javascript('console.log(JSON.stringify(process.env))')).stdout).not.toContain(mark);
});

it.runIf(hasPython)('hides the environment and the files from Python (needs Python 3)', async () => {
  const { stdout } = await python('import os; print(dict(os.environ), os.listdir("/"), os.listdir("/work"))');
  expect(stdout).not.toContain(mark);
  expect(stdout).not.toContain('home');
});

it.runIf(hasPython).each([
  ['a fork bomb', 'import os\nwhile True: os.fork()', 'processes'],
  ['a patient fork bomb', 'import os\nwhile True:\n  try: os.fork()\n  except OSError: pass', 'time'],
  ['10 GB', 'a = b"x" * 10**10', 'memory'],
  ['10 GB, shared', 'import mmap\nm = mmap.mmap(-1, 10**10)\nfor i in range(0, 10**10, 4096): m[i] = 1', 'memory'],
  ['ignoring signals', 'import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass', 'time'],
  ['reading the passwords', 'print(open("/etc/passwd").read())', 'denied'],
  ['writing outside', `open("/usr/${mark}", "w")`, 'denied'],
  ['a full disk', 'for i in range(99): open(f"/work/{i}", "wb").write(b"x" * 10**6)', 'disk'],
  ['the network', 'import socket\nsocket.create_connection(("127.0.0.1", 9), 1)', 'denied'],
  [
    'more threads',
    'import threading, time\nfor _ in range(99): threading.Thread(target=time.sleep, args=(9,)).start()',
    'time',
  ],
] as const)('contains Python: %s', async (_, source, end) => {
  const result = await python(source, { seconds: end === 'time' ? 0.7 : seconds });
  expect([result.end, result.stderr.slice(-300)]).toEqual([end, expect.anything()]);
  expect(existsSync(`/usr/${mark}`)).toBe(false);
});

it.runIf(hasPython)('leaves no process behind, not even a detached one (needs Python 3)', async () => {
  // the pipe ends where the detached process becomes the other program
  const source = `import os
ended, open = os.pipe()
if os.fork() == 0:
  os.setsid()
  if os.fork() == 0: os.execvp("sleep", ["${mark}", "98765"])
  os._exit(0)
os.close(open)
os.read(ended, 1)
print("left")`;
  expect(await python(source)).toMatchObject({ end: 'exit', stdout: 'left\n' });
  await untilRunning(false);
});

it('refuses to run without the isolation that is demanded, and stops when it is aborted', async () => {
  await expect(javascript('', { memory: 1 })).rejects.toThrow('memory: expected a number not below 32, got 1');
  if (support.javascript.isolation !== 'namespaces') {
    await expect(runSandboxed('1')).rejects.toThrow('This machine cannot isolate javascript programs');
  }
  const stopping = new AbortController();
  const endless = javascript(`process.title = '${mark}'; for (;;);`, {}, stopping.signal);
  endless.catch(() => {});
  await untilRunning(true);
  stopping.abort(new Error('enough'));
  await expect(endless).rejects.toThrow('enough');
  await untilRunning(false);
});

const completion = (text: string, row: object): Completion => ({
  prompt: [1],
  response: [2],
  ended: true,
  promptText: 'Write add(a, b).',
  text,
  row: { ...row },
});
const { signal } = new AbortController();

it('rewards programs that pass their tests, and counts what came of the others', async () => {
  const tests = 'assert.equal(add(2, 3), 5); assert.equal(add(-1, 1), 0);';
  const reward = passesTests({ isolation: 'best', seconds });
  const programs = [
    'Here it is:\n```js\nfunction add(a, b) { return a + b; }\n```\nIt adds.',
    'function add(a, b) { return a - b; }',
    'process.exit(0)',
    'console.log("passed"); process.exit(0)',
    'module.exports = { add }; function add(a, b) { return a + b; }',
    '',
    'function add(a, b) {',
  ];
  expect(
    await reward(
      programs.map((text) => completion(text, { tests })),
      signal,
    ),
  ).toEqual([1, 0, 0, 0, 1, 0, 0]);
  expect(reward.outcomes).toEqual({ passed: 2, failed: 2, unfinished: 2, empty: 1 });
  await expect(reward([completion('1', {})], signal)).rejects.toThrow('needs tests as text in its column "tests"');
});

it.runIf(hasPython)('runs tests in Python (needs Python 3)', async () => {
  const reward = passesTests({ language: 'python', seconds, field: 'check' });
  const texts = ['def add(a, b):\n    return a + b', 'def add(a, b):\n    return 5', 'import os; os._exit(0)'];
  const row = { check: 'assert add(2, 3) == 5\nassert add(1, 1) == 2' };
  expect(
    await reward(
      texts.map((text) => completion(text, row)),
      signal,
    ),
  ).toEqual([1, 0, 0]);
});

it('finds the program in a text', () => {
  expect(programIn('a\n```js\nfirst\n```\nb\n```\nlast\n```\n')).toBe('last\n');
  expect(programIn('```python\nx = 1')).toBe('x = 1');
  expect(programIn('plain')).toBe('plain');
});
