/**
 * Runs a program that nobody has read, such as one that a policy wrote, in a process of its own. Its isolation is what the
 * machine offers, which is tried out once and stated, never assumed:
 *
 * - `namespaces` (Linux, with unshare, setpriv and prlimit of util-linux, and timeout of coreutils): the program sees no network, no processes but
 *   its own, and of the files only a read-only /usr and an empty folder in memory. Whatever it starts dies with it.
 * - `permissions` (JavaScript anywhere): Node's permission model refuses files, processes, threads and native code. Nothing
 *   in the system refuses the network: a preloaded module takes its functions away, which determined code can get around.
 *
 * In both, time, memory and output are limited, and the environment is empty. Neither protects from a bug in the kernel: a
 * virtual machine does.
 */

import { z } from 'zod';
import { HeedError, messageOf } from '../../error.ts';
import {
  dirname,
  join,
  mkdtempSync,
  realpathSync,
  rmSync,
  spawn,
  spawnSync,
  tmpdir,
  writeFileSync,
} from '../../node.ts';
import { parseOptions, positive, wholeNumber } from '../../options.ts';

/**
 * A module that takes Node's network away from a program, for machines on which the system cannot. It replaces functions, no
 * more: determined code finds others. Programs load it as a CommonJS file, before their own.
 */
const networkRemoval = `'use strict';
const refuse = () => { throw new Error('the sandbox has no network'); };
for (const name of ['fetch', 'WebSocket', 'EventSource']) {
  Object.defineProperty(globalThis, name, { value: refuse, writable: false, configurable: false });
}
void [process.stdout, process.stderr]; // sockets, which open when they are first read
const net = require('node:net');
net.Socket.prototype.connect = refuse;
net.Server.prototype.listen = refuse;
const modules = [net, ...['dgram', 'dns', 'dns/promises', 'http', 'http2', 'https', 'tls'].map((name) => require('node:' + name))];
for (const module of modules) {
  for (const [name, value] of Object.entries(module)) {
    if (typeof value === 'function') {
      try { module[name] = refuse; } catch { /* it is only read */ }
    }
  }
}
for (const name of ['binding', '_linkedBinding', 'dlopen']) process[name] = refuse;
require('node:module').syncBuiltinESMExports();
`;

/** The languages of programs. */
export const sandboxLanguages = ['javascript', 'python'] as const;
/** The language of a program. */
export type SandboxLanguage = (typeof sandboxLanguages)[number];

/** Schema of the options of `runSandboxed`. */
export const sandboxSchema = z.object({
  language: z.enum(sandboxLanguages).default('javascript').describe('the language of the program'),
  isolation: z
    .enum(['required', 'best'])
    .default('required')
    .describe('required: namespaces, or no run at all; best: namespaces, else permissions, which are weaker'),
  seconds: positive().default(5).describe('seconds that the program may take; then it is killed'),
  memory: wholeNumber(32).default(256).describe('mebibytes of memory of a process'),
  processes: wholeNumber(1).default(8).describe('processes and threads of a Python program; JavaScript has one'),
  disk: wholeNumber(1).default(16).describe('mebibytes that the program may write to its folder'),
  output: wholeNumber(1).default(64).describe('kibibytes that the program may print; then it is killed'),
});
/** The options of `runSandboxed`. */
export type SandboxOptions = z.input<typeof sandboxSchema>;
type Settings = z.output<typeof sandboxSchema>;

/** How a program is kept apart from the machine. */
export type Isolation = 'namespaces' | 'permissions';

/**
 * How a program ended: `exit` by itself with code 0; `failed` with another code or by a signal; by a limit of `time`,
 * `memory`, `processes`, `disk` or `output`; or `denied`: it failed when it reached for files, the network or processes.
 * The last is read from what the program printed.
 */
export type SandboxEnd = 'exit' | 'failed' | 'time' | 'memory' | 'processes' | 'disk' | 'output' | 'denied';

/** What a program did. */
export interface SandboxResult {
  /** How it ended. */
  end: SandboxEnd;
  /** What it printed, cut at the limit. */
  stdout: string;
  /** What it printed to stderr, cut at the limit. */
  stderr: string;
  /** Seconds that it took, start included. */
  seconds: number;
  /** How it was kept apart. */
  isolation: Isolation;
}

/** What this machine offers a language. */
export interface SandboxSupport {
  /** The strongest isolation; undefined without any. */
  isolation?: Isolation;
  /** Why there are no namespaces; undefined if there are. */
  missing?: string;
}

/**
 * Runs a program's source in a sandbox. The program failing is a result, not an error.
 *
 * @throws HeedError if the machine lacks the isolation that the options demand; the signal's reason when it aborts.
 */
export async function runSandboxed(
  source: string,
  options: SandboxOptions = {},
  signal?: AbortSignal,
): Promise<SandboxResult> {
  const settings = parseOptions(sandboxSchema, options);
  const { language } = settings;
  const support = await sandboxSupport(language);
  const allowed = support.isolation === 'namespaces' || (support.isolation && settings.isolation === 'best');
  if (!allowed) {
    throw new HeedError(`This machine cannot isolate ${language} programs: ${support.missing}.`, {
      hint:
        support.isolation === undefined
          ? 'Use Linux with unprivileged user namespaces, or run as root.'
          : 'Use Linux with user namespaces, or accept weaker isolation with isolation: "best", which does not block the network.',
    });
  }
  signal?.throwIfAborted();
  return support.isolation === 'namespaces'
    ? inNamespaces(source, settings, signal)
    : byPermissions(source, settings, signal);
}

const supports = new Map<SandboxLanguage, Promise<SandboxSupport>>();

/** What this machine offers, found by running a small program in it once. */
export function sandboxSupport(language: SandboxLanguage): Promise<SandboxSupport> {
  let support = supports.get(language);
  if (!support) {
    support = tryOut(language);
    supports.set(language, support);
  }
  return support;
}

async function tryOut(language: SandboxLanguage): Promise<SandboxSupport> {
  const missing = await whyNoNamespaces(language);
  if (missing === undefined) return { isolation: 'namespaces' };
  return language === 'javascript' ? { isolation: 'permissions', missing } : { missing };
}

async function whyNoNamespaces(language: SandboxLanguage): Promise<string | undefined> {
  if (process.platform !== 'linux') return `namespaces need Linux, and this is ${process.platform}`;
  try {
    const source = language === 'javascript' ? 'console.log(6 * 7)' : 'print(6 * 7)';
    const { end, stdout, stderr } = await inNamespaces(source, sandboxSchema.parse({ language, seconds: 20 }));
    if (stdout === '42\n') return undefined;
    return `a program in namespaces ended with "${end}": ${stderr.trim().slice(-200) || 'it printed nothing'}`;
  } catch (error) {
    return messageOf(error);
  }
}

/** Where programs of a language are started from: the program's real path, and the folder of its installation. */
interface Interpreter {
  path: string;
  prefix: string;
}

let python: Interpreter | undefined;

function interpreter(language: SandboxLanguage): Interpreter {
  if (language === 'javascript') {
    const path = realpathSync(process.execPath);
    return { path, prefix: dirname(dirname(path)) };
  }
  if (python) return python;
  const code = 'import os, sys; print(os.path.realpath(sys.executable), sys.base_prefix, sep="\\n")';
  const { stdout, error } = spawnSync('python3', ['-I', '-c', code], { encoding: 'utf8' });
  const [path, prefix] = stdout?.trim().split('\n') ?? [];
  if (error || !prefix) throw new HeedError('there is no python3');
  python = { path, prefix };
  return python;
}

/**
 * Makes the root that the program sees, then becomes it: a folder in memory with the installation of the interpreter, read
 * only. Arguments: folder, mebibytes, the interpreter's prefix, then the command. The program's source comes by stdin.
 */
const SETUP = `set -e
root=$1 size=$2 prefix=$3; shift 3
mount -t tmpfs -o "size=$size,nr_inodes=4096,mode=0755,nosuid,nodev" sandbox "$root"
bound() { mount --bind "$1" "$root$1"; mount -o remount,bind,ro,nosuid "$root$1"; }
mkdir -p "$root/usr" "$root/etc" "$root/dev" "$root/work" "$root/tmp"
chmod 1777 "$root/work" "$root/tmp"
bound /usr
for name in bin sbin lib lib32 lib64; do
  if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$root/$name"
  elif [ -d "/$name" ]; then mkdir "$root/$name"; bound "/$name"; fi
done
case "$prefix" in /usr|/usr/*|/bin|/) ;; *) mkdir -p "$root$prefix"; bound "$prefix" ;; esac
if [ -e /etc/ld.so.cache ]; then : > "$root/etc/ld.so.cache"; bound /etc/ld.so.cache; fi
for name in null zero random urandom; do : > "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
cat > "$root/work/program.mjs"
exec < /dev/null
exec chroot "$root" "$@"`;

/** The first process of the namespace: when it ends, the kernel kills all others. */
const FIRST = 'cd /work; "$@"; exit $?';

/** A user that nobody is: each run of a root has its own, so that its processes are counted by themselves. */
const NOBODY = 1_000_000;
let runs = 0;

async function inNamespaces(source: string, settings: Settings, signal?: AbortSignal): Promise<SandboxResult> {
  const { language, memory, disk, seconds, processes } = settings;
  const { path, prefix } = interpreter(language);
  const isRoot = process.getuid?.() === 0;
  const folder = mkdtempSync(join(tmpdir(), 'heed-sandbox-'));
  const user = String(NOBODY + ((process.pid * 4096 + runs++) % NOBODY));
  const namespaces = ['--net', '--pid', '--mount', '--ipc', '--uts', '--fork', '--kill-child=KILL'];
  const limits = [
    ...[`--cpu=${Math.ceil(seconds) + 1}`, `--data=${memory * 2 ** 20}`, `--fsize=${disk * 2 ** 20}`],
    ...['--core=0', '--nofile=64', `--nproc=${language === 'javascript' ? NODE_THREADS : processes + 1}`],
    // shared mappings are no data; Node, which reserves addresses for gibibytes, cannot make any
    ...(language === 'python' ? [`--as=${(memory + 512) * 2 ** 20}`] : []),
  ];
  const drop = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
  if (isRoot) drop.push(`--reuid=${user}`, `--regid=${user}`, '--clear-groups');
  const program =
    language === 'javascript'
      ? [path, ...nodeFlags(settings), '--allow-fs-read=/work/*', '--allow-fs-write=/work/*', '/work/program.mjs']
      : [path, '-I', '-S', '-B', '/work/program.mjs'];
  const command = [
    // if this process is killed, too
    ...['timeout', '-s', 'KILL', String(Math.ceil(seconds) + 1)],
    ...['unshare', ...(isRoot ? [] : ['--user', '--map-root-user']), ...namespaces],
    ...['sh', '-c', SETUP, 'sh', folder, `${disk}m`, prefix],
    ...['setpriv', ...drop, 'prlimit', ...limits, '--', 'sh', '-c', FIRST, 'sh', ...program],
  ];
  try {
    return { ...(await contained(command, source, settings, signal)), isolation: 'namespaces' };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a JavaScript program by Node's permission model alone, as `best` does where there are no namespaces. */
export async function byPermissions(source: string, settings: Settings, signal?: AbortSignal): Promise<SandboxResult> {
  const { memory, disk, seconds } = settings;
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'heed-sandbox-')));
  try {
    const [file, preload] = [join(folder, 'program.mjs'), join(folder, 'no-network.cjs')];
    writeFileSync(file, source);
    writeFileSync(preload, networkRemoval);
    const access = [`--allow-fs-read=${folder}/*`, `--allow-fs-write=${folder}/*`];
    const node = [realpathSync(process.execPath), ...nodeFlags(settings), ...access, '--require', preload, file];
    const limits = [`--cpu=${Math.ceil(seconds) + 1}`, `--data=${memory * 2 ** 20}`, `--fsize=${disk * 2 ** 20}`];
    const command = hasPrlimit() ? ['prlimit', ...limits, '--core=0', '--', ...node] : node;
    return { ...(await contained(command, '', settings, signal)), isolation: 'permissions' };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

let prlimit: boolean | undefined;
const hasPrlimit = (): boolean => (prlimit ??= spawnSync('prlimit', ['--version']).status === 0);

/** Threads of Node itself. The permission model refuses more. */
const NODE_THREADS = 20;

function nodeFlags({ memory }: Settings): string[] {
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  return [permission, '--no-warnings', `--max-old-space-size=${Math.ceil(memory / 2)}`, '--v8-pool-size=1'];
}

/** Runs a command in a process group of its own, without the environment, until it ends or reaches a limit. */
function contained(
  [name, ...args]: readonly string[],
  input: string,
  { seconds, output }: Settings,
  signal?: AbortSignal,
): Promise<Omit<SandboxResult, 'isolation'>> {
  return new Promise((resolve, reject) => {
    const since = performance.now();
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LANG: 'C.UTF-8', UV_THREADPOOL_SIZE: '1' };
    const child = spawn(name, args, { detached: true, env, stdio: 'pipe' });
    let stopped: SandboxEnd | undefined;
    let left = output * 1024;
    const stop = (why?: SandboxEnd) => {
      stopped ??= why;
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        child.kill('SIGKILL'); // it has ended, or the system knows no groups
      }
    };
    const abort = () => stop();
    const timer = setTimeout(() => stop('time'), seconds * 1000);
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    const printed = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        printed[stream] += text.slice(0, Math.max(0, left));
        left -= text.length;
        if (left < 0) stop('output');
      });
    }
    child.stdin.on('error', () => {}); // it has ended: its end says why
    child.stdin.end(input);
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    child.once('error', (cause) => {
      finish();
      reject(new HeedError(`"${name}" cannot be started: ${messageOf(cause)}`, { cause }));
    });
    child.once('close', (code, killed) => {
      finish();
      if (signal?.aborted) return reject(signal.reason);
      stop(); // what it left behind in its group
      const end = stopped ?? endOf(code, killed, printed.stderr);
      resolve({ end, ...printed, seconds: (performance.now() - since) / 1000 });
    });
  });
}

/** What stderr shows of a limit that the program ran into, in the words of Node, Python and the C library. */
const traces: readonly (readonly [SandboxEnd, RegExp])[] = [
  [
    'memory',
    /MemoryError|bad_alloc|out of memory|Array buffer allocation failed|Invalid array length|ENOMEM|Cannot allocate memory/,
  ],
  ['processes', /EAGAIN|Resource temporarily unavailable|BlockingIOError|can't start new thread/],
  ['disk', /ENOSPC|No space left|EFBIG|File too large/],
  [
    'denied',
    /ERR_ACCESS_DENIED|ENETUNREACH|Network is unreachable|EAI_AGAIN|name resolution|the sandbox has no network|EROFS|Read-only file system|EACCES|EPERM|PermissionError|ENOENT|FileNotFoundError/,
  ],
];
/** Codes of a shell whose command was killed by SIGXCPU and SIGXFSZ. */
const ENDS: Readonly<Record<string, SandboxEnd>> = { 152: 'time', SIGXCPU: 'time', 153: 'disk', SIGXFSZ: 'disk' };

function endOf(code: number | null, killed: string | null, stderr: string): SandboxEnd {
  if (code === 0) return 'exit';
  return ENDS[String(killed ?? code)] ?? traces.find(([, trace]) => trace.test(stderr))?.[0] ?? 'failed';
}
