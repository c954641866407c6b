/**
 * Downloads one file of a Hub to disk. It continues where an earlier try stopped, and renames the file only when it is
 * complete and checked.
 *
 * A partial file belongs to one process at a time: its name says which. Taking over a dead process's file is a rename,
 * which only one process wins. Two processes that need the same file at the same time each download their own copy;
 * neither waits.
 */

import type { Hash } from 'node:crypto';
import { HeedError } from '../../error.ts';
import { fileError, isSystemError, onDisk, writeAll } from '../../files.ts';
import {
  closeSync,
  createHash,
  createReadStream,
  existsSync,
  fsyncSync,
  ftruncateSync,
  hostname,
  join,
  openSync,
  randomBytes,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from '../../node.ts';
import { retrying, Transient } from '../../retry.ts';
import { bytesOf, type Hub, KEPT, request } from './request.ts';

export interface RemoteFile {
  /** Path in the repository, with slashes. */
  path: string;
  /** Size in bytes. */
  size: number;
  /** Name and checksum of the file, in hex: the sha256 of a large file (LFS), git's blob sha1 of a small one. */
  oid: string;
}

/**
 * Downloads `url` to `<blobs>/<oid>`. `onBytes` is called with the bytes present so far. The partial file stays for the
 * next try, unless its bytes were wrong.
 *
 * @throws HeedError, or the signal's reason.
 */
export async function download(
  hub: Hub,
  url: string,
  { path, size, oid }: RemoteFile,
  blobs: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const partial = claim(blobs, oid);
  const file = onDisk('write', partial, () => openSync(partial, 'a'));
  let done = statSync(partial).size;
  let resumed = done > 0;
  let hash = newHash(oid, size);
  const startAgain = () => {
    onDisk('write', partial, () => ftruncateSync(file, 0));
    hash = newHash(oid, size);
    done = 0;
    resumed = false;
  };
  let whole = false;
  try {
    if (done > size) startAgain();
    await hashFile(hub, partial, hash);
    onBytes(done);
    const receive = async () => {
      if (done === size) return;
      const range = done > 0 && { range: `bytes=${done}-` };
      const response = await request(hub, url, { headers: { 'accept-encoding': 'identity', ...range } });
      if (response.status !== 206)
        startAgain(); // the server does not support ranges
      else if (!response.headers.get('content-range')?.startsWith(`bytes ${done}-`)) {
        await response.body?.cancel();
        startAgain();
        throw new Transient(`"${path}" did not continue at the requested byte.`, { hint: KEPT });
      }
      for await (const chunk of bytesOf(hub, response)) {
        if (done + chunk.length > size) {
          startAgain();
          throw new Transient(`"${path}" is longer than the ${size} bytes that the Hub lists.`, { hint: KEPT });
        }
        onDisk('write', join(blobs, oid), () => writeAll(file, chunk));
        hash.update(chunk);
        done += chunk.length;
        onBytes(done);
      }
      if (done < size) throw new Transient(`"${path}" ended after ${done} of ${size} bytes.`, { hint: KEPT });
    };
    for (;;) {
      await retrying(hub, receive, () => done);
      const sum = hash.digest('hex');
      if (sum === oid) break;
      const tryAgain = resumed; // the wrong bytes may be from an earlier try
      startAgain();
      if (!tryAgain) {
        throw new HeedError(`"${path}" has a wrong checksum: expected ${oid}, got ${sum}.`, {
          hint: 'Try again. If it stays wrong, something between here and the Hub changes files, or the file there is broken.',
        });
      }
      hub.onWarning?.(`"${path}" has a wrong checksum: downloading it again.`);
    }
    onDisk('write', partial, () => fsyncSync(file));
    whole = true;
  } finally {
    closeSync(file);
    held.delete(partial);
    if (!whole) putDown(partial, blobs, oid);
  }
  // the folder is not synced: a name lost in a power failure is a file to download again
  onDisk('write', join(blobs, oid), () => renameSync(partial, join(blobs, oid)));
  for (const other of leftovers(blobs, oid)) rmSync(other, { force: true });
}

/** Bytes that an earlier try left of a file. */
export function bytesLeft(blobs: string, oid: string): number {
  const [longest] = leftovers(blobs, oid);
  return longest === undefined ? 0 : sizeOf(longest);
}

function newHash(oid: string, size: number): Hash {
  return oid.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

async function hashFile({ signal }: Hub, path: string, hash: Hash): Promise<void> {
  try {
    for await (const chunk of createReadStream(path, { signal })) hash.update(chunk);
  } catch (error) {
    signal?.throwIfAborted();
    throw fileError(error, 'read', path);
  }
}

// <oid>.<random>.incomplete may be taken by any process; <oid>.<random>.<host>.<process>.incomplete is being written
const ownHost = () => hostname().replaceAll(/[^\w.-]/g, '_');
const PARTIAL = /^([0-9a-f]+)\.[0-9a-f]{8}(?:\.(.+)\.(\d+))?\.incomplete$/;
const DEAD_AFTER = 3_600_000; // milliseconds without a byte, if the process cannot be checked
const held = new Set<string>();

const newName = (oid: string) => `${oid}.${randomBytes(4).toString('hex')}`;

/** Takes over what an earlier try left, or names a new file. */
function claim(blobs: string, oid: string): string {
  const claimed = join(blobs, `${newName(oid)}.${ownHost()}.${process.pid}.incomplete`);
  held.add(claimed);
  for (const left of leftovers(blobs, oid)) {
    try {
      renameSync(left, claimed);
      break;
    } catch (error) {
      if (!isSystemError(error) || error.code !== 'ENOENT') throw fileError(error, 'write', left);
    }
  }
  return claimed;
}

function putDown(partial: string, blobs: string, oid: string): void {
  if (sizeOf(partial) === 0) rmSync(partial, { force: true });
  else renameSync(partial, join(blobs, `${newName(oid)}.incomplete`));
}

/** Partial files that no process writes, the longest first. */
function leftovers(blobs: string, oid: string): string[] {
  if (!existsSync(blobs)) return [];
  return readdirSync(blobs)
    .filter((name) => {
      const [, whose, host, pid] = PARTIAL.exec(name) ?? [];
      return whose === oid && !(host && isAlive(join(blobs, name), host, Number(pid)));
    })
    .map((name) => join(blobs, name))
    .sort((a, b) => sizeOf(b) - sizeOf(a));
}

function isAlive(path: string, host: string, pid: number): boolean {
  if (host !== ownHost()) return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < DEAD_AFTER;
  if (pid === process.pid) return held.has(path);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isSystemError(error) && error.code === 'EPERM';
  }
}

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
