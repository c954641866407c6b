/**
 * A checkpoint on disk: a folder named by its step with `state.json` and `tensors.safetensors`. It is complete or
 * absent. The state holds checksums of the tensors and of itself, and the lengths of the run's row files.
 */

import { readSafetensors, type SafetensorsTensor, safetensorsParts } from '../engine/safetensors.ts';
import { HeedError, messageOf } from '../error.ts';
import { fileError, isSystemError, readText, sha256OfFile, syncFolder, writeFileAtomic } from '../files.ts';
import { createHash, existsSync, join, mkdirSync, readdirSync, renameSync, rmSync } from '../node.ts';
import { decode, encode } from './json.ts';

/** A checkpoint as `Run.loadCheckpoint` reads it. */
export interface RunCheckpoint {
  /** The step at which it was saved. */
  step: number;
  /** The state that was saved: plain data, numbers bit for bit. */
  state: unknown;
  /** Tensors by name. */
  tensors: Record<string, SafetensorsTensor>;
  /** What is wrong with newer checkpoints, which were skipped. Empty if nothing is. */
  warnings: string[];
}

/** Lengths of the run's row files in bytes, at the time of a checkpoint. */
interface RowLengths {
  metrics: number;
  samples: number;
}

const FOLDER = 'checkpoints';
const STATE = 'state.json';
const TENSORS = 'tensors.safetensors';
const PART = 2 ** 22;

/** Writes the checkpoint of a step, replacing one of the same step, and removes all but the last `keep`. */
export function writeCheckpoint(
  run: string,
  step: number,
  content: { state: unknown; tensors: Readonly<Record<string, SafetensorsTensor>> },
  rows: RowLengths,
  keep: number,
): void {
  if (!Number.isSafeInteger(step) || step < 0 || step >= 1e10) {
    throw new HeedError(`The step of a checkpoint is a whole number from 0 to 9999999999, got ${step}.`);
  }
  const checkpoints = join(run, FOLDER);
  const target = join(checkpoints, String(step).padStart(10, '0'));
  const temporary = `${target}.tmp`;
  const state = encode(content.state, ['state']);
  try {
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    const hash = createHash('sha256');
    writeFileAtomic(join(temporary, TENSORS), hashed(safetensorsParts(join(target, TENSORS), content.tensors), hash));
    const body = { step, tensors: hash.digest('hex'), rows, state };
    writeFileAtomic(join(temporary, STATE), JSON.stringify({ sha256: sha256(JSON.stringify(body)), ...body }));
    const replaced = `${target}.old`;
    if (existsSync(target)) {
      rmSync(replaced, { recursive: true, force: true });
      renameSync(target, replaced); // no folder is renamed over a full one; tidyCheckpoints undoes this after a kill
    }
    renameSync(temporary, target);
    syncFolder(checkpoints);
    rmSync(replaced, { recursive: true, force: true });
    for (const old of steps(run).slice(keep)) rmSync(join(checkpoints, old), { recursive: true, force: true });
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw isSystemError(error) ? fileError(error, 'write', target) : error;
  }
}

/**
 * The newest valid checkpoint of a run's folder, or that of a step. Changes nothing, so it works on a run in progress.
 * @throws HeedError if there is none.
 */
export function readCheckpoint(
  run: string,
  { step }: { step?: number } = {},
): RunCheckpoint & { rows: RowLengths; invalid: string[] } {
  const all = steps(run);
  const found = step === undefined ? all : all.filter((name) => Number(name) === step);
  if (found.length === 0 && all.length > 0) {
    throw new HeedError(`The run "${run}" has no checkpoint of step ${step}.`, {
      hint: `It has checkpoints of the steps ${all.map(Number).reverse().join(', ')}.`,
    });
  }
  const warnings: string[] = [];
  for (const [i, name] of found.entries()) {
    const folder = join(run, FOLDER, name);
    try {
      return { ...read(folder), warnings, invalid: found.slice(0, i) };
    } catch (error) {
      const code = isSystemError((error as Error).cause) && ((error as Error).cause as NodeJS.ErrnoException).code;
      if (code && code !== 'ENOENT') throw error; // the disk or its permissions failed, not the checkpoint
      warnings.push(`The checkpoint "${folder}" is damaged and was skipped: ${messageOf(error)}`);
    }
  }
  throw new HeedError([`The run "${run}" has no valid checkpoint.`, ...warnings].join('\n'), {
    hint: 'Start a new run.',
  });
}

/**
 * Finishes what a killed process began: restores a checkpoint that was about to be replaced, and removes temporary
 * files.
 */
export function tidyCheckpoints(run: string): void {
  const checkpoints = join(run, FOLDER);
  const present = names(checkpoints);
  for (const name of present) {
    const path = join(checkpoints, name);
    const step = name.replace(/\.old$/, '');
    if (name.endsWith('.old') && !present.includes(step)) renameSync(path, join(checkpoints, step));
    else if (/\.(old|tmp)$/.test(name)) rmSync(path, { recursive: true, force: true });
  }
}

/** Renames damaged checkpoints, so that they are neither counted nor read again. */
export function setAside(run: string, invalid: string[]): void {
  for (const name of invalid) {
    const path = join(run, FOLDER, name);
    rmSync(`${path}.damaged`, { recursive: true, force: true });
    renameSync(path, `${path}.damaged`);
  }
}

/**
 * The state of the newest checkpoint that can be read, for figures that need no tensors: they are not looked at.
 * Undefined if there is none.
 */
export function readState(run: string): unknown {
  for (const name of steps(run)) {
    try {
      return decode(readBody(join(run, FOLDER, name)).state);
    } catch {
      // an earlier one may be whole; whoever resumes the run hears of this one
    }
  }
  return undefined;
}

interface Body {
  step: number;
  tensors: string;
  rows: RowLengths;
  state: unknown;
}

/** The content of a checkpoint's state.json, which matches its own checksum. */
function readBody(folder: string): Body {
  const path = join(folder, STATE);
  const text = readText(path);
  let parsed: Body & { sha256: string };
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new HeedError(`"${path}" is not JSON: ${messageOf(error)}.`);
  }
  const { sha256: sum, ...body } = parsed ?? {};
  if (sum !== sha256(JSON.stringify(body))) throw new HeedError(`"${path}" does not match its own checksum.`);
  return body;
}

function read(folder: string): Omit<RunCheckpoint, 'warnings'> & { rows: RowLengths } {
  const body = readBody(folder);
  const tensors = join(folder, TENSORS);
  if (sha256OfFile(tensors) !== body.tensors) throw new HeedError(`"${tensors}" does not match its checksum.`);
  return { step: body.step, state: decode(body.state), tensors: readSafetensors(tensors).tensors, rows: body.rows };
}

/** Names of the checkpoints, newest first. */
const steps = (run: string): string[] =>
  names(join(run, FOLDER))
    .filter((name) => /^\d{10}$/.test(name))
    .sort()
    .reverse();

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return [];
    throw fileError(error, 'read', folder);
  }
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

function* hashed(parts: Iterable<Uint8Array>, hash: ReturnType<typeof createHash>): Generator<Uint8Array> {
  for (const whole of parts) {
    for (let begin = 0; begin < whole.length; begin += PART) {
      const part = whole.subarray(begin, begin + PART); // an update must be less than 2 GiB
      hash.update(part);
      yield part;
    }
  }
}
