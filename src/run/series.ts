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
export function createRunSeries(folder: string, { chunk = CHUNK }: { chunk?: number } = {}): RunSeries {
  const path = join(folder, 'metrics.jsonl');
  const cache = createSeriesCache(join(folder, 'metrics.columns'));
  const column = () => createColumn(cache.numbers);
  let offset: number;
  let tail: Buffer;
  let rest: Buffer;
  let steps: Column;
  let times: Column;
  let metrics: Map<string, Metric>;
  let last: Record<string, number>;
  let complete = true;
  /** Where the cache ends, as far as it belongs to this file; and whether more of it may. */
  let cached: { end: number; isRead: boolean; isWritable: boolean };
  /** Number of numbers that are only in memory. */
  let held: number;

  function forget(): void {
    [offset, held, tail, rest] = [0, 0, Buffer.alloc(0), Buffer.alloc(0)];
    [steps, times, metrics, last] = [column(), column(), new Map(), {}];
    cached = { end: 0, isRead: false, isWritable: true };
  }
  forget();

  const metricOf = (name: string): Metric => {
    const metric = metrics.get(name) ?? { values: column(), rows: column() };
    metrics.set(name, metric);
    return metric;
  };

  function add(line: string): void {
    let row: Record<string, unknown>;
    try {
      row = JSON.parse(line);
    } catch {
      return; // somebody edited the file; the rest is still worth showing
    }
    if (typeof row !== 'object' || row === null) return;
    last.step = Number(row.step);
    steps.push(last.step);
    times.push(Number(row.time));
    held += 2;
    for (const key in row) {
      if (key === 'step' || key === 'time') continue;
      const value = Number(row[key]);
      const { values, rows } = metricOf(key);
      if (Number.isNaN(value)) continue;
      values.push(value);
      rows.push(steps.length - 1);
      last[key] = value;
      held += 2;
    }
  }

  /** Writes the numbers in memory as a chunk of the cache. */
  function store(file: number): void {
    const rows = steps.rest().length;
    const first = steps.length - rows;
    const stored = [...metrics].map(([name, metric]) => {
      const points = metric.values.rest().length;
      return { name, points, isInEveryRow: points === rows, metric };
    });
    const columns = [
      steps,
      times,
      ...stored.flatMap(({ isInEveryRow, metric: { values, rows } }) => (isInEveryRow ? [values] : [values, rows])),
    ];
    const head = {
      first,
      rows,
      offset,
      tail: tailAt(file, offset).toString('base64'),
      metrics: stored.map(({ metric, ...saved }) => saved),
    };
    const place = cache.append(
      cached.end,
      head,
      columns.map((one) => one.rest()),
    );
    if (!place) {
      cached.isWritable = false;
      return;
    }
    cached.end = place.end;
    settle(place.at, first, stored);
  }

  /** Frees the numbers that are in the cache from a byte on. */
  function settle(at: number, first: number, stored: readonly { isInEveryRow: boolean; metric: Metric }[]): void {
    let place = at;
    const moved = (column: Column) => {
      const length = 8 * column.rest().length;
      column.moved({ at: place });
      place += length;
    };
    moved(steps);
    moved(times);
    for (const {
      isInEveryRow,
      metric: { values, rows },
    } of stored) {
      moved(values);
      if (isInEveryRow) rows.moved({ first });
      else moved(rows);
    }
    held = 0;
  }

  /** Reads a chunk of the cache and checks that it belongs to the rows. False if it does not. */
  function restore(file: number): boolean {
    const found = cache.chunk(cached.end);
    if (
      !found ||
      found.head.first !== steps.length ||
      !tailAt(file, found.head.offset).equals(Buffer.from(found.head.tail, 'base64'))
    )
      return false;
    const { head, numbers } = found;
    let place = 0;
    const take = (count: number) => {
      place += count;
      return numbers.subarray(place - count, place);
    };
    const fill = (column: Column, values: Iterable<number>) => {
      for (const value of values) column.push(value);
    };
    fill(steps, take(head.rows));
    fill(times, take(head.rows));
    last.step = numbers[head.rows - 1];
    const stored = head.metrics.map(({ name, points, isInEveryRow }) => {
      const metric = metricOf(name);
      fill(metric.values, take(points));
      fill(metric.rows, isInEveryRow ? Array.from({ length: points }, (_, i) => head.first + i) : take(points));
      if (points > 0) last[name] = metric.values.at(metric.values.length - 1);
      return { isInEveryRow, metric };
    });
    settle(found.at, head.first, stored);
    cached.end = found.end;
    offset = head.offset;
    return true;
  }

  function refresh(parts = Number.POSITIVE_INFINITY): boolean {
    if (!existsSync(path)) {
      const had = steps.length > 0;
      forget();
      complete = true;
      return had;
    }
    return withFile(path, (file) => {
      const { size } = fstatSync(file);
      let changed = false;
      if (size < offset || !tailAt(file, offset).equals(tail)) {
        forget();
        changed = true;
      }
      const isSame =
        size >= offset + rest.length && tailAt(file, offset + rest.length, rest.length).equals(rest.subarray(-TAIL));
      if (!isSame) rest = Buffer.alloc(0);
      const before = steps.length;
      let left = parts;
      while (!cached.isRead && left > 0) {
        cached.isRead = !restore(file);
        if (!cached.isRead) left--;
      }
      const part = Buffer.alloc(Math.min(PART, Math.max(1, size - offset)));
      // a row in the middle of a write is read next time; one longer than a part is joined
      for (let at = offset + rest.length; at < size && left > 0; left--) {
        const count = readSync(file, part, 0, Math.min(part.length, size - at), at);
        if (count === 0) break;
        at += count;
        const bytes = Buffer.concat([rest, part.subarray(0, count)]);
        let begin = 0;
        for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, begin)) {
          if (end > begin) add(bytes.toString('utf8', begin, end));
          offset += end + 1 - begin;
          begin = end + 1;
          if (held >= chunk && cached.isWritable) store(file);
        }
        rest = bytes.subarray(begin);
      }
      complete = cached.isRead && left > 0;
      rest = Buffer.from(rest);
      tail = tailAt(file, offset);
      return changed || steps.length > before;
    });
  }

  return {
    refresh,
    get rows() {
      return steps.length;
    },
    get complete() {
      return complete;
    },
    names: () => [...metrics.keys()],
    latest: () => ({ ...last }),
    buckets(name, options = {}) {
      const metric = metrics.get(name);
      try {
        return (
          metric && cache.during(() => bucketsOf({ steps, times }, metric, metrics.get(options.by ?? ''), options))
        );
      } catch (error) {
        forget(); // the cache does not hold what was written
        throw error;
      }
    },
  };
}

/** The bytes of a file before a position. */
function tailAt(file: number, offset: number, most = offset): Buffer {
  const tail = Buffer.alloc(Math.min(TAIL, most));
  readSync(file, tail, 0, tail.length, offset - tail.length);
  return tail;
}
