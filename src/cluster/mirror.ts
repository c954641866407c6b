/** Writes what changes in a folder as frames: the sender of frames.ts. */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readdirSync, readSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../files.ts';
import { LOCK } from '../run/lock.ts';
import { PIECE, type SyncFrame } from './frames.ts';

/** A file as it was sent. */
interface Sent {
  size: number;
  changed: number;
  /** The last bytes: rows that a resumed run cut and wrote again differ there. */
  tail: Buffer;
}

const TAIL = 256;
/** Rows are appended and may be cut back; all other files are replaced as a whole. */
const isRows = (path: string) => path.endsWith('.jsonl');
/** A checkpoint: a folder that appears as a whole and never changes. */
const isCheckpoint = (path: string) => /(^|\/)checkpoints\/\d{10}$/.test(path);
const isPassing = (name: string) => name === LOCK || /\.(tmp|old|damaged)$/.test(name);

type Change = SyncFrame extends infer One ? (One extends { n: number } ? Omit<One, 'n'> : never) : never;

/**
 * Returns a function that sends what has changed in `folder` since it was last called. Checkpoints that are there at
 * first are known to the receiver.
 *
 * @param most larger files, and checkpoints with such files, are not sent.
 */
export function createMirror(
  folder: string,
  write: (frame: SyncFrame) => void,
  { most = Number.POSITIVE_INFINITY }: { most?: number } = {},
): () => void {
  const files = new Map<string, Sent>();
  const checkpoints = new Set<string>(listed(folder).checkpoints);
  let n = 0;
  const send = (change: Change) => write({ ...change, n: ++n } as SyncFrame);

  /** Sends a file, or its new rows. False if it is gone. */
  function sendFile(path: string, to = path): boolean {
    const old = files.get(path);
    let file: number;
    try {
      file = openSync(join(folder, path), 'r');
    } catch (error) {
      if (isSystemError(error) && error.code === 'ENOENT') return false;
      throw error;
    }
    try {
      const { size, mtimeMs } = fstatSync(file);
      const at = old && isRows(path) && continues(file, size, old) ? old.size : 0;
      const hash = createHash('sha256');
      const piece = Buffer.alloc(PIECE);
      let end = at;
      while (end < size) {
        const bytes = piece.subarray(0, readSync(file, piece, 0, Math.min(PIECE, size - end), end));
        if (bytes.length === 0) break;
        hash.update(bytes);
        write({ kind: 'data', data: bytes.toString('base64') });
        end += bytes.length;
      }
      send({ kind: 'put', path: to, at, sha256: hash.digest('hex') });
      files.set(path, { size: end, changed: mtimeMs, tail: tailOf(file, end) });
      return true;
    } finally {
      closeSync(file);
    }
  }

  function sendCheckpoint(path: string): void {
    const names = readdirSync(join(folder, path));
    if (names.some((name) => statSync(join(folder, path, name)).size > most)) return;
    const sent = names.every((name) => sendFile(`${path}/${name}`, `${path}.tmp/${name}`));
    for (const name of names) files.delete(`${path}/${name}`);
    // a newer one may have replaced it meanwhile
    send(sent ? { kind: 'move', path: `${path}.tmp`, to: path } : { kind: 'remove', path: `${path}.tmp` });
    if (sent) checkpoints.add(path);
  }

  return () => {
    const current = listed(folder);
    // a checkpoint counts on the rows before it, and replaces older ones
    for (const rows of [true, false]) {
      for (const path of current.files.filter((one) => isRows(one) === rows)) {
        const stats = statOf(join(folder, path));
        const sent = files.get(path);
        if (stats && stats.size <= most && !(sent?.size === stats.size && sent.changed === stats.mtimeMs))
          sendFile(path);
      }
    }
    for (const path of current.checkpoints) {
      if (!checkpoints.has(path)) guarded(() => sendCheckpoint(path));
    }
    for (const [known, there] of [
      [checkpoints, current.checkpoints],
      [files, current.files],
    ] as const) {
      for (const path of [...known.keys()].filter((one) => !there.includes(one))) {
        known.delete(path);
        send({ kind: 'remove', path });
      }
    }
  };
}

/** What was removed while it was read is sent no more; the next call notices. */
function guarded(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ENOENT') throw error;
  }
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function tailOf(file: number, end: number): Buffer {
  const tail = Buffer.alloc(Math.min(TAIL, end));
  readSync(file, tail, 0, tail.length, end - tail.length);
  return tail;
}

const continues = (file: number, size: number, { size: end, tail }: Sent) =>
  size >= end && tailOf(file, end).equals(tail);

/** The files of a folder and its checkpoints, as paths with slashes. */
function listed(folder: string): { files: string[]; checkpoints: string[] } {
  const found = { files: [] as string[], checkpoints: [] as string[] };
  const walk = (under: string) => {
    let entries: ReturnType<typeof entriesOf>;
    try {
      entries = entriesOf(join(folder, under));
    } catch (error) {
      if (isSystemError(error) && error.code === 'ENOENT') return;
      throw error;
    }
    for (const entry of entries) {
      const path = under === '' ? entry.name : `${under}/${entry.name}`;
      if (isPassing(entry.name)) continue;
      if (entry.isFile()) found.files.push(path);
      else if (isCheckpoint(path)) found.checkpoints.push(path);
      else if (entry.isDirectory()) walk(path);
    }
  };
  walk('');
  return found;
}

const entriesOf = (path: string) => readdirSync(path, { withFileTypes: true });
