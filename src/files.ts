/** Files: writes that survive a crash, a kill or a full disk, and errors that name the path. */

import { DEEPEST, isDeeper } from './depth.ts';
import { HeedError, messageOf } from './error.ts';
import {
  closeSync,
  createHash,
  dirname,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  pathToFileURL,
  randomBytes,
  readFileSync,
  readSync,
  renameSync,
  resolve,
  rmSync,
  writeSync,
} from './node.ts';

/** One write call carries at most 2 GiB − 4 KiB on Linux; Node refuses more than 2 GiB − 1. */
const LONGEST_WRITE = 2 ** 30;

/**
 * Replaces the file at `path` as a whole: a temporary file in the same folder, synced, renamed over the old one, and
 * the folder synced. A reader finds the old bytes or the new ones, even after a power cut. An iterable is written part
 * by part, so a large file needs no second copy in memory.
 *
 * @throws HeedError that names the path if the system refuses; the temporary file is then removed and the old file
 * untouched. Errors of the iterable pass through.
 */
export function writeFileAtomic(path: string, data: Uint8Array | string | Iterable<Uint8Array>): void {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  const parts = bytes instanceof Uint8Array ? [bytes] : bytes;
  let file: number | undefined;
  let created = false;
  try {
    file = openSync(temporary, 'wx');
    created = true;
    for (const part of parts) writeAll(file, part);
    fsyncSync(file);
    closeSync(file);
    file = undefined;
    renameSync(temporary, path);
  } catch (error) {
    if (file !== undefined) closeSync(file);
    if (created) rmSync(temporary, { force: true });
    throw isSystemError(error) ? fileError(error, 'write', path) : error;
  }
  syncFolder(dirname(path));
}

/**
 * The same for a file that `write` writes by itself, under the name that it gets.
 *
 * @throws HeedError that names the path if the system refuses. Other errors of `write` pass through.
 */
export async function replaceFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await write(temporary);
    const file = openSync(temporary, 'r+');
    fsyncSync(file);
    closeSync(file);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw isSystemError(error) ? fileError(error, 'write', path) : error;
  }
  syncFolder(dirname(path));
}

/** Writes every byte at the file's current position (the end, for a file opened to append). */
export function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, Math.min(bytes.length - done, LONGEST_WRITE));
  }
}

/**
 * The exports of a user's .js, .mjs, .ts or .mts file. `what` is its purpose, for the HeedError if it cannot be loaded.
 */
export async function importFile(path: string, what: string): Promise<Record<string, unknown>> {
  if (!existsSync(path)) {
    throw new HeedError(`${what} "${path}" does not exist.`, {
      hint: `Check the path. Relative paths start from the current folder: ${resolve('.')}`,
    });
  }
  try {
    return await import(pathToFileURL(resolve(path)).href);
  } catch (cause) {
    throw new HeedError(`${what} "${path}" cannot be loaded: ${messageOf(cause)}`, {
      hint: importHint(cause, path),
      cause,
    });
  }
}

function importHint(cause: unknown, path: string): string {
  const message = messageOf(cause);
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') {
    return 'Node reads TypeScript from 22.18 on: update Node, or compile the file to JavaScript.';
  }
  if (code === 'ERR_MODULE_NOT_FOUND' && message.includes("'heed'")) {
    return "Is heed installed in the file's project? See docs/how-to/install.md.";
  }
  // what Node says of import and export in a file that package.json makes CommonJS; npm init does so from npm 11 on
  if (cause instanceof SyntaxError && /token 'export'|import statement outside a module/.test(message)) {
    return 'Node reads the file as CommonJS: rename it to end in .mjs, or set "type": "module" in package.json.';
  }
  return `Run node ${JSON.stringify(path)} to see the line that fails.`;
}

/** Runs a file operation; a refusal by the system becomes a HeedError that names the path. */
export function onDisk<T>(verb: string, path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw fileError(error, verb, path);
  }
}

/** The text in a file. @throws HeedError that names the path if the system refuses. */
export const readText = (path: string): string => onDisk('read', path, () => readFileSync(path, 'utf8'));

/** The text in a file; undefined if there is none. @throws HeedError that names the path if the system refuses. */
export function readTextIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error) && ['ENOENT', 'ENOTDIR'].includes(error.code!)) return undefined;
    throw fileError(error, 'read', path);
  }
}

/** Opens a file to read for as long as `use` takes. @throws HeedError that names the path if the system refuses. */
export function withFile<T>(path: string, use: (file: number) => T): T {
  const file = onDisk('read', path, () => openSync(path, 'r'));
  try {
    return use(file);
  } finally {
    closeSync(file);
  }
}

/** The SHA-256 of a file's bytes, in hex. Reads part by part: a file of weights may be larger than memory. */
export const sha256OfFile = (path: string): string =>
  withFile(path, (file) => {
    const hash = createHash('sha256');
    const part = new Uint8Array(2 ** 22);
    const more = () => onDisk('read', path, () => readSync(file, part));
    for (let read = more(); read > 0; read = more()) hash.update(part.subarray(0, read));
    return hash.digest('hex');
  });

/**
 * The JSON in a file.
 *
 * @throws HeedError that names the path if the system refuses, or if the file is not JSON or nested too deeply; `hint`
 * says what to do then.
 */
export function readJsonFile(path: string, hint?: string): unknown {
  const text = readText(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new HeedError(`"${path}" is not JSON: ${messageOf(cause)}.`, { hint, cause });
  }
  if (isDeeper(value)) throw new HeedError(`"${path}" is nested more than ${DEEPEST} deep.`, { hint });
  return value;
}

/** Creates a folder and those above it, where they are not there. @throws HeedError that names it. */
export const createFolder = (path: string, mode?: number): void =>
  onDisk('create', path, () => void mkdirSync(path, { recursive: true, mode }));

/** Makes the names in a folder durable: a rename survives a power cut only after this. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return; // Windows opens no folder as a file; its journal keeps the rename
  let file: number | undefined;
  try {
    file = openSync(folder, 'r');
    fsyncSync(file);
  } catch (error) {
    // some network and FUSE file systems know no fsync of a folder
    if (!isSystemError(error) || !['EINVAL', 'ENOTSUP', 'ENOSYS'].includes(error.code!)) {
      throw fileError(error, 'sync', folder);
    }
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

const REASONS: Record<string, [reason: string, hint: (path: string) => string]> = {
  ENOSPC: [
    'the disk is full',
    (path) => `Free space on the disk that holds "${dirname(path)}", or choose another folder.`,
  ],
  EDQUOT: [
    'your disk quota is used up',
    (path) => `Free some of your space, or choose a folder other than "${dirname(path)}".`,
  ],
  EFBIG: [
    'the file would be larger than allowed',
    () => 'Raise the file size limit (ulimit -f), or choose another disk.',
  ],
  EACCES: [
    'permission denied',
    (path) => `Give this user access to "${path}" and its folder, or choose another folder.`,
  ],
  EPERM: [
    'permission denied',
    (path) => `Give this user access to "${path}" and its folder, or choose another folder.`,
  ],
  EROFS: ['the file system is read-only', () => 'Choose a folder on a disk that you can write to.'],
  ENOENT: [
    'no such file or folder',
    (path) =>
      existsSync(dirname(path))
        ? `Check the path. Relative paths start from the current folder: ${resolve('.')}`
        : `Check the path, or create the folder "${dirname(path)}" first.`,
  ],
  ENOTDIR: ['a part of the path is a file, not a folder', () => 'Check the path.'],
  EISDIR: ['it is a folder, not a file', () => 'Give the path of a file.'],
  EMFILE: ['too many files are open', () => 'Raise the limit of open files (ulimit -n).'],
};

/** The system's error about a file as a HeedError that names the path; a HeedError stays as it is. */
export function fileError(error: unknown, verb: string, path: string): HeedError {
  if (error instanceof HeedError) return error;
  const [reason, hint] = REASONS[(isSystemError(error) && error.code) || ''] ?? [messageOf(error), undefined];
  return new HeedError(`Could not ${verb} "${path}": ${reason}.`, { hint: hint?.(path), cause: error });
}

/** Whether the operating system refused (an error with a code such as ENOSPC). */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && typeof (error as NodeJS.ErrnoException).code === 'string';
}
