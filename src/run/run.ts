/**
 * A run: one folder on disk with everything a command trains or evaluates.
 *
 *     config.json      the command, its options, seed and versions
 *     metrics.jsonl    one row per logged step: { step, time, … }
 *     samples.jsonl    things for people to look at: clips, completions
 *     checkpoints/     the latest ones, each a folder with state.json and tensors.safetensors
 *     report.html      see report.ts
 *     lock             the process that writes here; absent if there is none
 */

import { z } from 'zod';
import type { SafetensorsTensor } from '../engine/safetensors.ts';
import { HeedError, messageOf } from '../error.ts';
import { checkFormat } from '../file-format.ts';
import { createFolder, isSystemError, onDisk, readTextIfThere, writeFileAtomic } from '../files.ts';
import { broughtFile, join, mkdirSync, readdirSync, readFileSync } from '../node.ts';
import { plugins } from '../plugins.ts';
import { type RunCheckpoint, readCheckpoint, setAside, tidyCheckpoints, writeCheckpoint } from './checkpoint.ts';
import { decode, fromJson, toJson } from './json.ts';
import { LOCK, lock } from './lock.ts';
import { openRows, type RowFile, readRows } from './rows.ts';

const FORMAT = 'heed run 1';
const CONFIG = 'config.json';
const METRICS = 'metrics.jsonl';
const SAMPLES = 'samples.jsonl';

const infoSchema = z.object({
  name: z.string(),
  /** The command that created the run, such as "train". */
  command: z.string(),
  /** The command's options, defaults filled in. */
  config: z.unknown(),
  seed: z.number(),
  /** Absolute paths of the plugins that the run needs; absent if it needs none. */
  plugins: z.array(z.string()).optional(),
  versions: z.object({ heed: z.string(), node: z.string(), platform: z.string() }),
  /** Start time, ISO 8601, UTC. */
  started: z.string(),
});

/** The content of config.json. */
export type RunInfo = z.infer<typeof infoSchema>;

/** One row of metrics.jsonl; `time` is Unix time in seconds. */
export interface MetricsRow {
  /** The step that the numbers belong to. */
  step: number;
  /** Unix time in seconds. */
  time: number;
  [metric: string]: number;
}

/** Receives the rows that a run writes. */
interface RunObserver {
  metrics(row: MetricsRow): void;
  sample(sample: Readonly<Record<string, unknown>>): void;
}

/** Options of `createRun`; see RunInfo. */
export type NewRun = Pick<RunInfo, 'name' | 'command' | 'config' | 'seed'>;

/**
 * Starts a run in `folder`, or in a new `runs/<time>-<name>`. The folder is locked until `close` or the end of the
 * process.
 * @throws HeedError if the folder holds a run or anything else.
 */
export function createRun(folder: string | undefined, { name, command, config, seed }: NewRun): Run {
  const started = new Date();
  const versions = { heed: version(), node: process.versions.node, platform: `${process.platform}-${process.arch}` };
  const needed = plugins();
  const needs = needed.length > 0 ? { plugins: needed } : {};
  const info: RunInfo = { name, command, config, seed, ...needs, versions, started: started.toISOString() };
  const text = `${JSON.stringify(JSON.parse(toJson({ format: FORMAT, ...info }, 'the run')), null, 2)}\n`;
  const path = folder === undefined ? newFolder(name, started) : folder;
  createFolder(path);
  checkEmpty(path);
  const release = lock(path);
  try {
    checkEmpty(path); // another process may have been faster
    writeFileAtomic(join(path, CONFIG), text);
    return new Run(path, info, release);
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * Opens a run to continue it: locks the folder, and drops what a killed process left half-written. For reading only,
 * use readInfo, readMetrics, readSamples and readCheckpoint, which need no lock.
 *
 * @param options Of the training that is to continue it.
 * @throws HeedError if the folder is not a run, is damaged, another process writes it, or the run computes with another
 * precision than the options.
 */
export function openRun(folder: string, options?: object): Run {
  const info = readInfo(folder);
  if (options) checkPrecision(folder, info, options);
  const release = lock(folder);
  try {
    tidyCheckpoints(folder);
    return new Run(folder, info, release);
  } catch (error) {
    release();
    throw error;
  }
}

/** Runs from before there was a choice computed in float32. */
export const FIRST_PRECISION = 'fp32';

/** A run that continued in another precision would equal no uninterrupted one. */
function checkPrecision(folder: string, { config }: RunInfo, options: object): void {
  const { precision } = options as { precision?: unknown };
  const stored = (config as { precision?: unknown } | undefined)?.precision ?? FIRST_PRECISION;
  if (precision === undefined || precision === stored) return;
  throw new HeedError(`The run "${folder}" computes in ${stored}, but this training in ${precision}.`, {
    hint: `Set precision to "${stored}", or train in a new folder.`,
  });
}

/** A run that this process writes. Created by `createRun` and `openRun`. */
export class Run {
  /** Path of the run's folder. */
  readonly folder: string;
  /** The content of config.json. */
  readonly info: RunInfo;
  readonly #metrics: RowFile;
  readonly #samples: RowFile;
  readonly #release: () => void;
  readonly #observers: RunObserver[] = [];

  constructor(folder: string, info: RunInfo, release: () => void) {
    this.folder = folder;
    this.info = info;
    this.#release = release;
    this.#metrics = openRows(join(folder, METRICS));
    this.#samples = openRows(join(folder, SAMPLES));
  }

  /** Appends a row to metrics.jsonl. NaN and ±Infinity are stored as the strings "NaN", "Infinity", "-Infinity". */
  log(step: number, metrics: Readonly<Record<string, number>>): void {
    const time = Date.now() / 1000;
    const row: Record<string, number | string> = { step, time };
    for (const [name, value] of Object.entries(metrics)) {
      if (name === 'step' || name === 'time') throw new HeedError(`A metric may not be called "${name}".`);
      if (typeof value !== 'number')
        throw new HeedError(`The metric "${name}" has to be a number, got ${typeof value}.`);
      row[name] = Number.isFinite(value) ? value : String(value);
    }
    this.#metrics.append(JSON.stringify(row));
    for (const observer of this.#observers) observer.metrics({ ...metrics, step, time });
  }

  /** Appends a row of plain data to samples.jsonl. */
  sample(record: Readonly<Record<string, unknown>>): void {
    this.#samples.append(toJson(record, 'sample'));
    for (const observer of this.#observers) observer.sample(record);
  }

  /** Passes every row from now on to an observer, which must not throw. */
  observe(observer: RunObserver): void {
    this.#observers.push(observer);
  }

  /**
   * Saves a checkpoint atomically, and removes all but the last `keep`. The state is plain data, whose numbers come
   * back bit for bit, including NaN and −0. Typed arrays go among the tensors.
   * @throws HeedError if the state is not plain data.
   */
  saveCheckpoint(
    step: number,
    content: { state: unknown; tensors: Readonly<Record<string, SafetensorsTensor>> },
    { keep = 2 }: { keep?: number } = {},
  ): void {
    const rows = { metrics: this.#metrics.sync(), samples: this.#samples.sync() };
    writeCheckpoint(this.folder, step, content, rows, Math.max(1, keep));
  }

  /**
   * The newest valid checkpoint. Cuts metrics and samples back to where they were at that time, so that the run
   * continues as if it had never stopped. Damaged newer checkpoints are renamed to `….damaged` and listed in
   * `warnings`.
   * @throws HeedError if there is none.
   */
  loadCheckpoint(): RunCheckpoint {
    const { rows, invalid, ...checkpoint } = readCheckpoint(this.folder);
    setAside(this.folder, invalid);
    for (const [name, file, bytes] of [
      [METRICS, this.#metrics, rows.metrics],
      [SAMPLES, this.#samples, rows.samples],
    ] as const) {
      if (!file.truncate(bytes)) {
        checkpoint.warnings.push(
          `"${join(this.folder, name)}" is shorter than it was at the checkpoint: rows are missing.`,
        );
      }
    }
    return checkpoint;
  }

  /** Syncs and closes the files and releases the lock. */
  close(): void {
    for (const file of [this.#metrics, this.#samples]) {
      file.sync();
      file.close();
    }
    this.#release();
  }
}

/** Whether a folder holds a run. */
export function isRun(folder: string): boolean {
  try {
    readInfo(folder);
    return true;
  } catch {
    return false;
  }
}

/** A run's config.json, checked. @throws HeedError if the folder is not a run. */
export function readInfo(folder: string): RunInfo {
  const path = join(folder, CONFIG);
  const text = readTextIfThere(path);
  if (text === undefined) {
    throw new HeedError(`"${folder}" is not a run: it has no ${CONFIG}.`, {
      hint: 'Give the folder of a run, such as one in "runs".',
    });
  }
  let found: unknown;
  try {
    found = fromJson(text);
  } catch (error) {
    throw new HeedError(`"${path}" is not JSON: ${messageOf(error)}.`, { hint: 'Is this the folder of a run?' });
  }
  const { format } = (found ?? {}) as { format?: unknown };
  checkFormat(folder, 'a run', format, FORMAT, 'Give the folder of a run, such as one in "runs".');
  const { success, data, error } = infoSchema.safeParse(found);
  if (!success)
    throw new HeedError(`"${path}" is damaged: ${z.prettifyError(error)}`, { hint: 'Was it edited by hand?' });
  return data;
}

/** A run's metrics, oldest first. */
export function readMetrics(folder: string): MetricsRow[] {
  return Array.from(
    readRows(join(folder, METRICS)),
    (row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)])) as MetricsRow,
  );
}

/** A run's samples, oldest first, as they were passed to `sample`. */
export function readSamples(folder: string): Record<string, unknown>[] {
  return Array.from(readRows(join(folder, SAMPLES)), (row) => decode(row) as Record<string, unknown>);
}

/** @throws HeedError if a folder holds a run or anything else. */
export function checkEmpty(folder: string): void {
  // a process that was killed before it wrote config.json leaves its lock and temporary files
  const names = readdirSync(folder).filter((name) => name !== LOCK && !name.endsWith('.tmp'));
  if (names.length === 0) return;
  if (names.includes(CONFIG) && isRun(folder)) {
    throw new HeedError(`"${folder}" already holds a run.`, {
      hint: `Continue it with --resume ${folder}, or choose another folder with --out.`,
    });
  }
  throw new HeedError(
    `"${folder}" is not empty and not a run: it holds ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}.`,
    {
      hint: 'Choose a new or empty folder with --out.',
    },
  );
}

/** Creates a new folder `runs/<time>-<name>`. */
export function newFolder(name: string, date = new Date()): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
  const time = `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;
  const plain = name.replaceAll(/[^\p{L}\p{N}_-]+/gu, '-').slice(0, 60) || 'run';
  return onDisk('create a folder in', 'runs', () => {
    mkdirSync('runs', { recursive: true });
    for (let n = 1; ; n++) {
      const path = join('runs', `${day}-${time}-${plain}${n > 1 ? `-${n}` : ''}`);
      try {
        mkdirSync(path);
        return path;
      } catch (error) {
        if (!isSystemError(error) || error.code !== 'EEXIST') throw error;
      }
    }
  });
}

/** Version of heed. */
export const version = (): string =>
  JSON.parse(readFileSync(broughtFile('../../package.json', import.meta.url), 'utf8')).version;
