/**
 * Node's modules for code that also runs in a page. Each name stands for what it is called in Node, and is looked up when
 * it is first called: so a page, which has no such modules, can load the code and run the parts that need none.
 */
import { HeedError } from './error.ts';

/** The names of one of Node's modules; each forwards to the module when it is called, constructed or read. */
function forward<M extends object>(module: string): M {
  const load = (): object => {
    const builtin = globalThis.process?.getBuiltinModule?.(module);
    if (builtin) return builtin;
    throw new HeedError(`${module} is missing: a page has no files, threads of Node or other programs`, {
      hint: 'run this part in Node, or pass the data itself in place of a file',
    });
  };
  const names = new Map<PropertyKey, unknown>();
  const forwarding = (name: PropertyKey) => {
    const target = () => Reflect.get(load(), name);
    return new Proxy(() => {}, {
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
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} = forward<typeof import('node:fs')>('node:fs');
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
export const { crc32, deflateSync } = forward<typeof import('node:zlib')>('node:zlib');
export const { runInNewContext } = forward<typeof import('node:vm')>('node:vm');
export const { isDeepStrictEqual, stripVTControlCharacters } = forward<typeof import('node:util')>('node:util');

/** Lets timers and messages come in between: a turn of the event loop. */
export const breathe = (): Promise<void> => new Promise((resolve) => (globalThis.setImmediate ?? setTimeout)(resolve));

/** Node's environment variables; a page has none. */
export const env: Readonly<Record<string, string | undefined>> = globalThis.process?.env ?? {};

/** Warns the person who runs the program: on stderr, or in the page's console. */
export const emitWarning = (text: string): void =>
  typeof process === 'undefined' ? console.warn(text) : process.emitWarning(text);
