/** Files in memory, for what reads a folder: a page has no disk. */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import * as paths from 'pathe';
import { HeedError } from '../error.ts';
import { provideModule } from '../node.ts';

/** The bytes of each file, by its absolute path. */
const files = new Map<string, Uint8Array>();
const open = new Map<number, Uint8Array>();
let opened = 0;

/**
 * Puts files into memory, where everything of heed that reads files finds them.
 *
 * @param folder Path of the folder, such as `/models/mine`.
 * @param contents The bytes or the text of each file, by its name in the folder.
 */
export function putFiles(folder: string, contents: Readonly<Record<string, Uint8Array | ArrayBuffer | string>>): void {
  for (const [name, content] of Object.entries(contents)) {
    const bytes = typeof content === 'string' ? utf8ToBytes(content) : new Uint8Array(content);
    files.set(paths.resolve('/', folder, name), bytes);
  }
}

/**
 * Fetches files from the page's own server and puts them into a folder in memory. Missing files are left out.
 *
 *     await fetchFiles('/models/reviews', new URL('models/reviews-base/', document.baseURI), modelFiles);
 *     using model = await loadModel('/models/reviews');
 *
 * @param folder Path of the folder in memory.
 * @param url Where the files are: a whole address that ends with a slash.
 * @throws HeedError if the server cannot be reached or has none of the files.
 */
export async function fetchFiles(folder: string, url: URL | string, names: readonly string[]): Promise<void> {
  const fetched = await Promise.all(
    names.map(async (name) => {
      let response: Response;
      try {
        response = await fetch(new URL(name, url));
      } catch (cause) {
        throw new HeedError(`cannot fetch "${url}${name}"`, { hint: 'is the page online?', cause });
      }
      return response.ok ? [[name, await response.arrayBuffer()] as const] : [];
    }),
  );
  const there = Object.fromEntries(fetched.flat());
  if (Object.keys(there).length === 0)
    throw new HeedError(`there are no files at "${url}"`, { hint: 'check the address' });
  putFiles(folder, there);
}

/** The files of a model's folder that `loadModel` reads. */
export const modelFiles = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
] as const;

const resolved = (path: string) => paths.resolve('/', `${path}`);
const isFolder = (path: string) => [...files.keys()].some((name) => name.startsWith(`${resolved(path)}/`));
const missing = (path: string) =>
  Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), {
    code: 'ENOENT',
    syscall: 'open',
    path,
  });
function bytesAt(path: string): Uint8Array {
  const bytes = files.get(resolved(path));
  if (!bytes) throw missing(path);
  return bytes;
}
const statsOf = (bytes: Uint8Array | undefined) => ({
  size: bytes?.length ?? 0,
  ino: 0,
  mtimeMs: 0,
  isDirectory: () => bytes === undefined,
  isFile: () => bytes !== undefined,
});

/** What heed calls of node:fs to read files, on those in memory. */
const fs = {
  existsSync: (path: string) => files.has(resolved(path)) || isFolder(path),
  readFileSync(path: string, encoding?: string | { encoding?: string }) {
    const bytes = bytesAt(path);
    return encoding === undefined ? bytes.slice() : new TextDecoder().decode(bytes);
  },
  statSync(path: string, options?: { throwIfNoEntry?: boolean }) {
    const bytes = files.get(resolved(path));
    if (bytes || isFolder(path)) return statsOf(bytes);
    if (options?.throwIfNoEntry === false) return undefined;
    throw missing(path);
  },
  readdirSync(path: string) {
    const start = `${resolved(path)}/`;
    const names = [...files.keys()].filter((name) => name.startsWith(start));
    return [...new Set(names.map((name) => name.slice(start.length).split('/')[0]))];
  },
  realpathSync: resolved,
  openSync(path: string) {
    open.set(++opened, bytesAt(path));
    return opened;
  },
  fstatSync: (file: number) => statsOf(open.get(file)),
  readSync(file: number, into: Uint8Array, offset: number, length: number, position: number) {
    const some = open.get(file)!.subarray(position, position + length);
    into.set(some, offset);
    return some.length;
  },
  closeSync: (file: number) => void open.delete(file),
};

/** What heed calls of node:crypto. */
const crypto = {
  randomBytes,
  createHash() {
    const hash = sha256.create();
    const created = {
      update(data: string | ArrayBufferView) {
        const bytes = typeof data === 'string' ? utf8ToBytes(data) : data;
        hash.update(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
        return created;
      },
      digest(encoding?: 'hex' | 'base64') {
        const bytes = hash.digest();
        if (encoding === 'base64') return btoa(String.fromCharCode(...bytes));
        return encoding === 'hex' ? bytesToHex(bytes) : bytes;
      },
    };
    return created;
  },
};

/** Makes heed read files from memory and compute checksums without Node. */
export function provideModules(): void {
  provideModule('node:fs', fs);
  provideModule('node:path', paths);
  provideModule('node:crypto', crypto);
  provideModule('node:url', { fileURLToPath: (url: URL | string) => new URL(url).pathname });
}
