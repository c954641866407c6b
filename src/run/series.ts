/**
 * A run's metrics as columns, read on as the file grows: what a page draws. A file of millions of rows is read once; what is
 * asked for is a stretch in a few hundred buckets, with the extremes of each, so that no spike is lost.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { fileError } from '../files.ts';

export interface SeriesOptions {
  /** What the points lie along: `step` unless told, `time` in seconds since the first row, or a metric that counts, such as labels. */
  by?: string;
  /** The stretch, along that. */
  from?: number;
  to?: number;
  /** At most so many points: 800 unless told. */
  buckets?: number;
  /** 0 to 1: the share that the mean so far keeps at each point (an exponential mean without its start's bias). */
  smooth?: number;
}

/** A stretch of a metric; each array as long as the others. */
export interface Buckets {
  /** Of each bucket's last point: its step, and seconds since the run's first row. */
  step: number[];
  time: number[];
  /** Where it lies along a metric, where that was asked for. */
  at?: number[];
  min: number[];
  max: number[];
  mean: number[];
  /** After smoothing, where that was asked for; of all points before it, not of buckets. */
  smooth?: number[];
  /** Points in the stretch. */
  points: number;
}

export interface RunSeries {
  /** Reads what has come since, at most so many parts of 4 MiB. True where there was something, or the file is another. */
  refresh(parts?: number): boolean;
  /** Whether the last refresh read to the file's end. */
  readonly complete: boolean;
  readonly rows: number;
  /** Names, in the order in which they first came. */
  names(): string[];
  /** The last value of each metric, and the last step. */
  latest(): Record<string, number>;
  buckets(name: string, options?: SeriesOptions): Buckets | undefined;
}

const PART = 1 << 22;
const NEWLINE = 0x0a;
/** Bytes before the place read to, which tell a file that was cut and written anew. */
const TAIL = 64;

/** Columns that grow. */
function column(kind: 'step' | 'value') {
  const make = (length: number) =>
    kind === 'step' ? new Float64Array(length) : new Float32Array(length).fill(Number.NaN);
  let values = make(1024);
  return {
    set(i: number, value: number) {
      if (i >= values.length) {
        const larger = make(Math.max(2 * values.length, i + 1));
        larger.set(values);
        values = larger;
      }
      values[i] = value;
    },
    get: (i: number): number => (i < values.length ? values[i] : Number.NaN),
  };
}

/** The metrics at a path, which need not be there yet. */
export function createRunSeries(path: string): RunSeries {
  let offset = 0;
  let tail: Buffer = Buffer.alloc(0);
  let rest = '';
  let rows = 0;
  let complete = true;
  let steps = column('step');
  let times = column('step');
  let metrics = new Map<string, ReturnType<typeof column>>();

  const forget = () => {
    [offset, rows, rest, tail] = [0, 0, '', Buffer.alloc(0)];
    [steps, times, metrics] = [column('step'), column('step'), new Map()];
  };

  function add(line: string): void {
    let row: Record<string, unknown>;
    try {
      row = JSON.parse(line);
    } catch {
      return; // somebody edited the file; what else is in it is worth showing
    }
    steps.set(rows, Number(row.step));
    times.set(rows, Number(row.time));
    for (const name of Object.keys(row)) {
      if (name === 'step' || name === 'time') continue;
      let own = metrics.get(name);
      if (!own) {
        own = column('value');
        metrics.set(name, own);
      }
      own.set(rows, Number(row[name]));
    }
    rows++;
  }

  function refresh(parts = Number.POSITIVE_INFINITY): boolean {
    if (!existsSync(path)) {
      const had = rows > 0;
      forget();
      complete = true;
      return had;
    }
    let file: number;
    try {
      file = openSync(path, 'r');
    } catch (error) {
      throw fileError(error, 'read', path);
    }
    try {
      const { size } = fstatSync(file);
      const before = rows;
      let changed = false;
      if (size < offset || !isSameTail(file)) {
        forget();
        changed = true;
      }
      const part = Buffer.alloc(Math.min(PART, Math.max(1, size - offset)));
      let left = parts;
      for (; offset < size && left > 0; left--) {
        const count = readSync(file, part, 0, Math.min(part.length, size - offset), offset);
        if (count === 0) break;
        const end = part.subarray(0, count).lastIndexOf(NEWLINE);
        // a row that is being written is read the next time; one longer than a part is joined
        const text = rest + part.toString('utf8', 0, end < 0 ? count : end + 1);
        if (end < 0) {
          if (offset + count >= size) break;
          rest = text;
          offset += count;
          continue;
        }
        rest = '';
        offset += end + 1;
        for (const line of text.split('\n')) if (line !== '') add(line);
      }
      complete = left > 0;
      tail = Buffer.alloc(Math.min(TAIL, offset));
      readSync(file, tail, 0, tail.length, offset - tail.length);
      return changed || rows > before;
    } finally {
      closeSync(file);
    }
  }

  function isSameTail(file: number): boolean {
    const now = Buffer.alloc(tail.length);
    readSync(file, now, 0, now.length, offset - now.length);
    return now.equals(tail);
  }

  return {
    refresh,
    get rows() {
      return rows;
    },
    get complete() {
      return complete;
    },
    names: () => [...metrics.keys()],
    latest() {
      const found: Record<string, number> = rows > 0 ? { step: steps.get(rows - 1) } : {};
      for (const [name, own] of metrics) {
        for (let i = rows - 1; i >= 0 && i > rows - 10_000; i--) {
          if (Number.isNaN(own.get(i))) continue;
          found[name] = own.get(i);
          break;
        }
      }
      return found;
    },
    buckets(name, { by = 'step', from = -Infinity, to = Infinity, buckets = 800, smooth } = {}) {
      const own = metrics.get(name);
      if (!own) return undefined;
      const along = metrics.get(by);
      // twice over the rows rather than once with a list of millions of places
      const walk = (visit: (i: number, value: number, at: number) => void) => {
        let counted = 0;
        for (let i = 0; i < rows; i++) {
          if (along) counted = Number.isNaN(along.get(i)) ? counted : along.get(i);
          const value = own.get(i);
          if (Number.isNaN(value)) continue;
          visit(i, value, by === 'step' ? steps.get(i) : by === 'time' ? times.get(i) - times.get(0) : counted);
        }
      };
      const isInside = (at: number) => at >= from && at <= to;
      let points = 0;
      walk((_, __, at) => {
        if (isInside(at)) points++;
      });
      const count = Math.min(buckets, points);
      const out: Buckets = { step: [], time: [], min: [], max: [], mean: [], points };
      if (smooth !== undefined) out.smooth = [];
      if (along) out.at = [];
      let [mean, weight] = [0, 0];
      let first = Number.NaN;
      let constant = true;
      let [seen, begin] = [0, 0];
      let [min, max, sum] = [Infinity, -Infinity, 0];
      walk((i, value, at) => {
        if (Number.isNaN(first)) first = value;
        constant &&= value === first;
        if (smooth !== undefined) {
          mean = smooth * mean + (1 - smooth) * value;
          weight = smooth * weight + (1 - smooth);
        }
        if (!isInside(at)) return;
        seen++;
        min = Math.min(min, value);
        max = Math.max(max, value);
        sum += value;
        if (seen < Math.floor(((out.step.length + 1) * points) / count)) return;
        out.step.push(steps.get(i));
        out.time.push(times.get(i) - times.get(0));
        out.at?.push(at);
        out.min.push(min);
        out.max.push(max);
        out.mean.push(sum / (seen - begin));
        // rounding must not make waves of what does not change
        out.smooth?.push(constant ? value : mean / weight);
        begin = seen;
        [min, max, sum] = [Infinity, -Infinity, 0];
      });
      return out;
    },
  };
}
