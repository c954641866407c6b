/** A lock file that says which process writes a run, so that two do not. */

import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { HeedError } from '../error.ts';
import { fileError, isSystemError } from '../files.ts';

export const LOCK = 'lock';

interface Holder {
  pid: number;
  host: string;
  /** When the process started, in the system's own count: a process id alone is given out again after a reboot. */
  started: string | null;
}

const held = new Set<string>();

/** Takes the lock of a folder and returns what gives it back. Throws a HeedError while a living process holds it. */
export function lock(folder: string): () => void {
  const path = join(resolve(folder), LOCK);
  const me: Holder = { pid: process.pid, host: hostname(), started: processStart(process.pid) };
  while (!create(path, JSON.stringify(me))) {
    const text = read(path);
    if (text === undefined) continue; // given back just now
    const holder = parse(text);
    if (isAlive(path, holder)) throw inUse(folder, path, holder);
    takeAway(path, text);
  }
  held.add(path);
  const release = () => {
    process.off('exit', release);
    if (held.delete(path)) rmSync(path, { force: true });
  };
  process.once('exit', release);
  return release;
}

/** Whether a living process writes a run; one that was killed leaves its lock. */
export function isWritten(folder: string): boolean {
  const path = join(resolve(folder), LOCK);
  const text = read(path);
  return text !== undefined && isAlive(path, parse(text));
}

function create(path: string, text: string): boolean {
  try {
    const file = openSync(path, 'wx');
    writeSync(file, text);
    closeSync(file);
    return true;
  } catch (error) {
    if (isSystemError(error) && error.code === 'EEXIST') return false;
    throw fileError(error, 'write', path);
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return undefined;
    throw fileError(error, 'read', path);
  }
}

/** Renamed before it is removed: of two processes that find a dead one's lock, only one gets it. */
function takeAway(path: string, text: string): void {
  const aside = `${path}.${process.pid}.tmp`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return;
    throw fileError(error, 'remove', path);
  }
  if (read(aside) === text) rmSync(aside);
  else renameSync(aside, path); // another process was faster, this is its lock
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
  // a lock without words is being written this moment, or its writer died between two system calls
  if (!holder) return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < 10_000;
  if (holder.host !== hostname()) return true; // nobody can ask another machine
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

/** Linux says when a process began; elsewhere, and for one that is gone or hidden, null. */
function processStart(pid: number): string | null {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' '); // the name before may hold spaces
    return fields[0] === 'Z' ? 'ended' : fields[19];
  } catch {
    return null;
  }
}

function inUse(folder: string, path: string, holder: Holder | undefined): HeedError {
  const who = holder
    ? `process ${holder.pid}${holder.host === hostname() ? '' : ` on "${holder.host}"`}`
    : 'another process';
  return new HeedError(`The run "${folder}" is being written by ${who}.`, {
    hint: `Wait for it or stop it. If you are sure that no process writes this run, delete "${path}".`,
  });
}
