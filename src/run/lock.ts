/** A lock file: it names the process that writes a run, so that no second one does. */

import { HeedError } from '../error.ts';
import { fileError, isSystemError, readTextIfThere } from '../files.ts';
import {
  closeSync,
  fsyncSync,
  hostname,
  join,
  openSync,
  readFileSync,
  renameSync,
  resolve,
  rmSync,
  statSync,
  writeSync,
} from '../node.ts';

export const LOCK = 'lock';

interface Holder {
  pid: number;
  host: string;
  /** When the process started, by the system's clock: process ids alone are reused after a reboot. */
  started: string | null;
}

const held = new Set<string>();

/**
 * Takes the lock of a folder. Returns a function that releases it.
 *
 * @param inUse - makes the error if a living process holds it, by the name of that process and the path of the lock.
 * @throws HeedError while a living process holds it.
 */
export function lock(folder: string, inUse = runInUse(folder)): () => void {
  const path = join(resolve(folder), LOCK);
  const me: Holder = { pid: process.pid, host: hostname(), started: processStart(process.pid) };
  while (!create(path, JSON.stringify(me))) {
    const text = readTextIfThere(path);
    if (text === undefined) continue; // released just now
    const holder = parse(text);
    if (isAlive(path, holder)) throw inUse(nameOf(holder), path);
    takeAway(path, text);
  }
  held.add(path);
  const release = () => {
    process.off('exit', release);
    if (!held.delete(path)) return;
    try {
      rmSync(path, { force: true });
    } catch {
      // the disk fails, which a run has told already: the next one finds that this process has ended
    }
  };
  process.once('exit', release);
  return release;
}

/** Whether a living process writes a run; a killed one leaves its lock. */
export const isWritten = (folder: string): boolean => writtenSince(folder) !== undefined;

/** When the living process that writes a run began to, in milliseconds since 1970; undefined if there is none. */
export function writtenSince(folder: string): number | undefined {
  const path = join(resolve(folder), LOCK);
  const text = readTextIfThere(path);
  if (text === undefined || !isAlive(path, parse(text))) return undefined;
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}

function create(path: string, text: string): boolean {
  try {
    const file = openSync(path, 'wx');
    writeSync(file, text);
    // an empty lock, which a power cut would leave, keeps the next process waiting
    fsyncSync(file);
    closeSync(file);
    return true;
  } catch (error) {
    if (isSystemError(error) && error.code === 'EEXIST') return false;
    throw fileError(error, 'write', path);
  }
}

/** Renames the lock before removing it: if two processes find a dead one's lock, only one wins. */
function takeAway(path: string, text: string): void {
  const aside = `${path}.${process.pid}.tmp`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return;
    throw fileError(error, 'remove', path);
  }
  if (readTextIfThere(aside) === text) rmSync(aside);
  else renameSync(aside, path); // another process was faster; this is its lock
}

function parse(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text) as Holder;
    return Number.isInteger(holder?.pid) ? holder : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(path: string, holder: Holder | undefined): boolean {
  // an empty lock is being written right now, or its writer died between two system calls
  if (!holder) return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < 10_000;
  if (holder.host !== hostname()) return true; // a process on another machine cannot be checked
  const started = processStart(holder.pid);
  if (holder.started && started) return holder.started === started;
  if (holder.pid === process.pid) return held.has(path);
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    return isSystemError(error) && error.code === 'EPERM';
  }
}

/** Linux reports when a process started; null elsewhere, and for one that is gone or hidden. */
function processStart(pid: number): string | null {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' '); // the name before it may contain spaces
    return fields[0] === 'Z' ? 'ended' : fields[19];
  } catch {
    return null;
  }
}

const nameOf = (holder: Holder | undefined): string =>
  holder ? `process ${holder.pid}${holder.host === hostname() ? '' : ` on "${holder.host}"`}` : 'another process';

const runInUse = (folder: string) => (by: string, path: string) =>
  new HeedError(`The run "${folder}" is being written by ${by}.`, {
    hint: `Wait for it or stop it. If you are sure that no process writes this run, delete "${path}".`,
  });
