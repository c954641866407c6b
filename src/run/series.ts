/**
 * A run's metrics as columns, which grow with the file: the data of a page's charts. A query is a stretch in a few
 * hundred buckets with the extremes of each, so that every spike shows. The rows of a long run are read once, then kept
 * as columns in a file beside them (series-cache.ts), with summaries in memory (series-column.ts).
 */
import { existsSync, fstatSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { withFile } from '../files.ts';
import { type Buckets, bucketsOf, type Metric, type SeriesOptions } from './series-buckets.ts';
import { createSeriesCache } from './series-cache.ts';
import { type Column, createColumn } from './series-column.ts';

export type { Buckets, SeriesOptions } from './series-buckets.ts';

export interface RunSeries {
  /** Reads what was appended, at most `parts` MiB. True if there was something, or the file was replaced. */
  refresh(parts?: number): boolean;
  /** Whether the last refresh reached the file's end. */
  readonly complete: boolean;
  readonly rows: number;
  /** Names in the order of their first occurrence. */
  names(): string[];
  /** The last value of each metric, and the last step. */
  latest(): Record<string, number>;
  buckets(name: string, options?: SeriesOptions): Buckets | undefined;
}

const PART = 1 << 20;
const NEWLINE = 0x0a;
/** Bytes before the current position, which reveal a file that was cut and written again. */
const TAIL = 64;
/** Numbers held in memory before they become a chunk of the cache. A change needs another magic number there. */
const CHUNK = 1 << 19;

/** The metrics of the run in a folder, which need not exist yet. `chunk` is for tests. */
export const createRunSeries = (folder: string, { chunk = CHUNK }: { chunk?: number } = {}): RunSeries =>
  new SeriesOfRun(folder, chunk);

/** A metric as a chunk of the cache holds it: with the rows that have it, unless all have. */
interface StoredMetric {
  isInEveryRow: boolean;
  metric: Metric;
}

class SeriesOfRun implements RunSeries {
  complete = true;
  readonly #path: string;
  readonly #cache: ReturnType<typeof createSeriesCache>;
  readonly #chunk: number;
  /** Where the next row begins; the bytes before it; and those after it that were read already. */
  #offset = 0;
  #tail: Buffer = Buffer.alloc(0);
  #rest: Buffer = Buffer.alloc(0);
  #steps!: Column;
  #times!: Column;
  #metrics = new Map<string, Metric>();
  #last: Record<string, number> = {};
  /** Where the cache ends, as far as it belongs to this file; and whether more of it may. */
  #cached = { end: 0, isRead: false, isWritable: true };
  /** Number of numbers that are only in memory. */
  #held = 0;

  constructor(folder: string, chunk: number) {
    this.#path = join(folder, 'metrics.jsonl');
    this.#cache = createSeriesCache(join(folder, 'metrics.columns'));
    this.#chunk = chunk;
    this.#forget();
  }

  get rows(): number {
    return this.#steps.length;
  }

  names(): string[] {
    return [...this.#metrics.keys()];
  }

  latest(): Record<string, number> {
    return { ...this.#last };
  }

  buckets(name: string, options: SeriesOptions = {}): Buckets | undefined {
    const metric = this.#metrics.get(name);
    if (!metric) return undefined;
    const axes = { steps: this.#steps, times: this.#times };
    try {
      return this.#cache.during(() => bucketsOf(axes, metric, this.#metrics.get(options.by ?? ''), options));
    } catch (error) {
      this.#forget(); // the cache does not hold what was written
      throw error;
    }
  }

  refresh(parts = Number.POSITIVE_INFINITY): boolean {
    if (!existsSync(this.#path)) {
      const had = this.rows > 0;
      this.#forget();
      this.complete = true;
      return had;
    }
    return withFile(this.#path, (file) => {
      const changed = this.#checkFile(file);
      const before = this.rows;
      const left = this.#readRows(file, this.#readCache(file, parts));
      this.complete = this.#cached.isRead && left > 0;
      this.#rest = Buffer.from(this.#rest);
      this.#tail = tailAt(file, this.#offset);
      return changed || this.rows > before;
    });
  }

  #forget(): void {
    const column = () => createColumn(this.#cache.numbers);
    [this.#offset, this.#held, this.#tail, this.#rest] = [0, 0, Buffer.alloc(0), Buffer.alloc(0)];
    [this.#steps, this.#times, this.#metrics, this.#last] = [column(), column(), new Map(), {}];
    this.#cached = { end: 0, isRead: false, isWritable: true };
  }

  /** Forgets what the file no longer has. True if that is all. */
  #checkFile(file: number): boolean {
    const { size } = fstatSync(file);
    const isOther = size < this.#offset || !tailAt(file, this.#offset).equals(this.#tail);
    if (isOther) this.#forget();
    const end = this.#offset + this.#rest.length;
    const isSame = size >= end && tailAt(file, end, this.#rest.length).equals(this.#rest.subarray(-TAIL));
    if (!isSame) this.#rest = Buffer.alloc(0);
    return isOther;
  }

  /** Reads the chunks of the cache. Returns how many of the parts are left. */
  #readCache(file: number, parts: number): number {
    let left = parts;
    while (!this.#cached.isRead && left > 0) {
      this.#cached.isRead = !this.#restore(file);
      if (!this.#cached.isRead) left--;
    }
    return left;
  }

  /** Reads the rows after those of the cache. Returns how many of the parts are left. */
  #readRows(file: number, parts: number): number {
    const { size } = fstatSync(file);
    const part = Buffer.alloc(Math.min(PART, Math.max(1, size - this.#offset)));
    let left = parts;
    // a row in the middle of a write is read next time; one longer than a part is joined
    for (let at = this.#offset + this.#rest.length; at < size && left > 0; left--) {
      const count = readSync(file, part, 0, Math.min(part.length, size - at), at);
      if (count === 0) break;
      at += count;
      const bytes = Buffer.concat([this.#rest, part.subarray(0, count)]);
      let begin = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, begin)) {
        if (end > begin) this.#add(bytes.toString('utf8', begin, end));
        this.#offset += end + 1 - begin;
        begin = end + 1;
        if (this.#held >= this.#chunk && this.#cached.isWritable) this.#store(file);
      }
      this.#rest = bytes.subarray(begin);
    }
    return left;
  }

  #metricOf(name: string): Metric {
    const column = () => createColumn(this.#cache.numbers);
    const metric = this.#metrics.get(name) ?? { values: column(), rows: column() };
    this.#metrics.set(name, metric);
    return metric;
  }

  #add(line: string): void {
    let row: Record<string, unknown>;
    try {
      row = JSON.parse(line);
    } catch {
      return; // somebody edited the file; the rest is still worth showing
    }
    if (typeof row !== 'object' || row === null) return;
    this.#last.step = Number(row.step);
    this.#steps.push(this.#last.step);
    this.#times.push(Number(row.time));
    this.#held += 2;
    for (const key in row) {
      if (key === 'step' || key === 'time') continue;
      const value = Number(row[key]);
      const { values, rows } = this.#metricOf(key);
      if (Number.isNaN(value)) continue;
      values.push(value);
      rows.push(this.rows - 1);
      this.#last[key] = value;
      this.#held += 2;
    }
  }

  /** Writes the numbers in memory as a chunk of the cache. */
  #store(file: number): void {
    const rows = this.#steps.rest().length;
    const first = this.rows - rows;
    const stored = [...this.#metrics].map(([name, metric]) => {
      const points = metric.values.rest().length;
      return { name, points, isInEveryRow: points === rows, metric };
    });
    const columns = [
      this.#steps,
      this.#times,
      ...stored.flatMap(({ isInEveryRow, metric: { values, rows } }) => (isInEveryRow ? [values] : [values, rows])),
    ];
    const offset = this.#offset;
    const tail = tailAt(file, offset).toString('base64');
    const head = { first, rows, offset, tail, metrics: stored.map(({ metric, ...saved }) => saved) };
    const numbers = columns.map((one) => one.rest());
    const place = this.#cache.append(this.#cached.end, head, numbers);
    if (!place) {
      this.#cached.isWritable = false;
      return;
    }
    this.#cached.end = place.end;
    this.#settle(place.at, first, stored);
  }

  /** Frees the numbers that are in the cache from a byte on. */
  #settle(at: number, first: number, stored: readonly StoredMetric[]): void {
    let place = at;
    const moved = (column: Column) => {
      const length = 8 * column.rest().length;
      column.moved({ at: place });
      place += length;
    };
    moved(this.#steps);
    moved(this.#times);
    for (const { isInEveryRow, metric } of stored) {
      moved(metric.values);
      if (isInEveryRow) metric.rows.moved({ first });
      else moved(metric.rows);
    }
    this.#held = 0;
  }

  /** Reads a chunk of the cache and checks that it belongs to the rows. False if it does not. */
  #restore(file: number): boolean {
    const found = this.#cache.chunk(this.#cached.end);
    if (!found || found.head.first !== this.rows) return false;
    const { head, numbers } = found;
    if (!tailAt(file, head.offset).equals(Buffer.from(head.tail, 'base64'))) return false;
    let place = 0;
    const take = (count: number) => {
      place += count;
      return numbers.subarray(place - count, place);
    };
    const fill = (column: Column, values: Iterable<number>) => {
      for (const value of values) column.push(value);
    };
    fill(this.#steps, take(head.rows));
    fill(this.#times, take(head.rows));
    this.#last.step = numbers[head.rows - 1];
    const stored = head.metrics.map(({ name, points, isInEveryRow }) => {
      const metric = this.#metricOf(name);
      fill(metric.values, take(points));
      fill(metric.rows, isInEveryRow ? Array.from({ length: points }, (_, i) => head.first + i) : take(points));
      if (points > 0) this.#last[name] = metric.values.at(metric.values.length - 1);
      return { isInEveryRow, metric };
    });
    this.#settle(found.at, head.first, stored);
    this.#cached.end = found.end;
    this.#offset = head.offset;
    return true;
  }
}

/** The bytes of a file before a position. */
function tailAt(file: number, offset: number, most = offset): Buffer {
  const tail = Buffer.alloc(Math.min(TAIL, most));
  readSync(file, tail, 0, tail.length, offset - tail.length);
  return tail;
}
