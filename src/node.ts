/**
 * Node's modules for code that also runs in a page. Each name stands for what it is called in Node, and is looked up when
 * it is first called: so a page, which has no such modules, can load the code and run the parts that need none.
 */
import { HeedError } from './error.ts';

/** What each name is a proxy of: `new` accepts it, as it does not an arrow function. */
function callable() {}

const provided = new Map<string, object>();

/** Provides a module where Node's is missing: its part of what heed calls. */
export function provideModule(name: string, module: object): void {
  provided.set(name, module);
}

/** The names of one of Node's modules; each forwards to the module when it is called, constructed or read. */
function forward<M extends object>(module: string): M {
  const load = (): object => {
    const builtin = globalThis.process?.getBuiltinModule?.(module) ?? provided.get(module);
    if (builtin) return builtin;
    throw new HeedError(`${module} is missing: a page has no files, Node threads or other programs`, {
      hint: 'run this part in Node, or pass the data itself in place of a file',
    });
  };
  const names = new Map<PropertyKey, unknown>();
  const forwarding = (name: PropertyKey) => {
    const target = () => Reflect.get(load(), name);
    return new Proxy(callable as object, {
      apply: (_, self, args) => Reflect.apply(target(), self, args),
      construct: (_, args) => Reflect.construct(target(), args),
      get: (_, key) => Reflect.get(target(), key),
    });
  };
  return new Proxy({} as M, {
    get(_, name) {
      if (!names.has(name)) names.set(name, forwarding(name));
      return names.get(name);
    },
  });
}

export const {
  closeSync,
  constants,
  copyFileSync,
  createReadStream,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} = forward<typeof import('node:fs')>('node:fs');
export const { open: openFile } = forward<typeof import('node:fs/promises')>('node:fs/promises');
export const { basename, dirname, extname, isAbsolute, join, normalize, relative, resolve } =
  forward<typeof import('node:path')>('node:path');
export const { availableParallelism, hostname, tmpdir, totalmem } = forward<typeof import('node:os')>('node:os');
export const { createHash, randomBytes } = forward<typeof import('node:crypto')>('node:crypto');
export const { createRequire } = forward<typeof import('node:module')>('node:module');
export const { fileURLToPath, pathToFileURL } = forward<typeof import('node:url')>('node:url');
export const {
  MessageChannel: NodeMessageChannel,
  receiveMessageOnPort,
  Worker: NodeWorker,
} = forward<typeof import('node:worker_threads')>('node:worker_threads');
export const { execFileSync, spawn, spawnSync } = forward<typeof import('node:child_process')>('node:child_process');
export const { isUtf8 } = forward<typeof import('node:buffer')>('node:buffer');
export const { pipeline } = forward<typeof import('node:stream')>('node:stream');
export const { setTimeout: wait } = forward<typeof import('node:timers/promises')>('node:timers/promises');
export const { crc32, createGunzip, deflateSync, gzipSync } = forward<typeof import('node:zlib')>('node:zlib');
export const { runInNewContext } = forward<typeof import('node:vm')>('node:vm');
export const { isDeepStrictEqual, stripVTControlCharacters } = forward<typeof import('node:util')>('node:util');

/** When the event loop last had a turn that this module knows of, in milliseconds. */
let lastTurn = performance.now();

/** Calls a function in the next turn of the event loop. A page has no setImmediate, and its timers wait for 4 ms. */
function nextTurn(call: () => void): void {
  const immediately = globalThis.setImmediate as ((call: () => void) => void) | undefined;
  if (immediately) {
    immediately(call);
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.addEventListener('message', () => {
    port1.close();
    call();
  });
  port1.start();
  port2.postMessage(undefined);
}

/** Lets timers and messages come in between: a turn of the event loop. */
export const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    nextTurn(() => {
      lastTurn = performance.now();
      resolve();
    });
  });

/** Milliseconds of work without a turn of the event loop: a program around this one stays responsive. */
const LONGEST_WORK = 10;

/**
 * Whether the event loop has had no turn for a while. Loops ask between their rounds, so that signals, timers and
 * requests do not wait for their end:
 *
 *     if (turnIsDue()) await breathe();
 */
export const turnIsDue = (): boolean => performance.now() - lastTurn > LONGEST_WORK;

/** Does work that comes in parts, with turns of the event loop between them where they are due. */
export async function inTurns<T>(work: Iterator<unknown, T>): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value as T;
    if (turnIsDue()) await breathe();
  }
}

/** The same at once. */
export function atOnce<T>(work: Iterator<unknown, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value as T;
  }
}

/**
 * A file that heed brings, such as the program of a thread, by its path from a module's `import.meta.url`.
 *
 * @throws HeedError where a bundler has copied the module and not the file.
 */
export function broughtFile(path: string, from: string | undefined): URL {
  const file = from === undefined ? undefined : new URL(path, from);
  if (file && existsSync(file)) return file;
  throw new HeedError(`heed is part of a bundle, which lacks its file "${path.replace(/^[./]+/, '')}"`, {
    hint: 'tell the bundler that heed is external (docs/how-to/use-a-bundler.md); a model can also be named by its folder',
  });
}

/** Node's environment variables; a page has none. */
export const env: Readonly<Record<string, string | undefined>> = globalThis.process?.env ?? {};

/** Warns the person who runs the program: on stderr, or in the page's console. */
export const emitWarning = (text: string): void =>
  typeof process === 'undefined' ? console.warn(text) : process.emitWarning(text);
