/** A stretch of a metric in buckets: extremes, means and, over all earlier points, an exponential mean. */
import type { Column } from './series-column.ts';

export interface SeriesOptions {
  /** The x axis: `step` (default), `time` in seconds since the first row, or a metric that counts, such as labels. */
  by?: string;
  /**
   * The stretch on that axis: from the first row that has reached `from` to the first after it that is beyond `to`. A
   * count keeps its value until a row changes it, and starts at 0.
   */
  from?: number;
  to?: number;
  /** Maximum number of points. Default 800. */
  buckets?: number;
  /** 0 to 1: the share that the running mean keeps at each point (an exponential mean without initial bias). */
  smooth?: number;
}

/** A stretch of a metric. All arrays have the same length. */
export interface Buckets {
  /** The step of each bucket's last point, and its seconds since the run's first row. */
  step: number[];
  time: number[];
  /** Its position along the metric `by`, if set. */
  at?: number[];
  min: number[];
  max: number[];
  mean: number[];
  /** The smoothed value, if requested; over all earlier points, not over buckets. */
  smooth?: number[];
  /** Number of points in the stretch. */
  points: number;
}

/** A metric's values, and the rows that hold them. */
export interface Metric {
  values: Column;
  rows: Column;
}

interface Rows {
  steps: Column;
  times: Column;
}

export function bucketsOf(
  { steps, times }: Rows,
  { values, rows }: Metric,
  along: Metric | undefined,
  { by = 'step', from = -Infinity, to = Infinity, buckets = 800, smooth }: SeriesOptions,
): Buckets {
  const start = times.length > 0 ? times.at(0) : 0;
  const [places, zero] = by === 'time' ? [times, start] : [steps, 0];
  const [first, last] = along
    ? stretchOfCount(along, steps.length, from, to)
    : stretchOf(places, from + zero, to + zero);
  const begin = rows.find(first);
  const end = rows.find(last, { begin });
  const points = end - begin;
  const count = Math.min(buckets, points);
  const out: Buckets = { step: [], time: [], min: [], max: [], mean: [], points };
  if (along) out.at = [];
  let covered = 0;
  const bounds = Array.from({ length: count + 1 }, (_, i) => begin + Math.floor((i * points) / count));
  for (let i = 0; i < count; i++) {
    const [low, high] = [bounds[i], bounds[i + 1]];
    const { min, max, sum } = values.summary(low, high);
    const row = rows.at(high - 1);
    out.step.push(steps.at(row));
    out.time.push(times.at(row) - start);
    out.min.push(min);
    out.max.push(max);
    out.mean.push(sum / (high - low));
    if (along) {
      covered = along.rows.find(row, { begin: covered, greater: true });
      out.at!.push(covered > 0 ? along.values.at(--covered) : 0);
    }
  }
  if (smooth !== undefined) out.smooth = smoothed(values, bounds.slice(1), smooth);
  return out;
}

/** The first row of a stretch, and the first after it. */
function stretchOf(places: Column, from: number, to: number): [number, number] {
  const first = from === -Infinity ? 0 : places.find(from);
  return [first, to === Infinity ? places.length : places.find(to, { begin: first, greater: true })];
}

function stretchOfCount({ values, rows }: Metric, count: number, from: number, to: number): [number, number] {
  const rowAt = (point: number) => (point < rows.length ? rows.at(point) : count);
  const point = from <= 0 ? 0 : values.find(from);
  const first = from <= 0 ? 0 : rowAt(point);
  if (to < Math.max(0, from)) return [first, first];
  return [first, to === Infinity ? count : rowAt(values.find(to, { begin: point, greater: true }))];
}

/** Points with a smaller weight than this are not read. */
const NEGLIGIBLE = 1e-9;
const AT_ONCE = 1 << 16;

/**
 * The exponential mean of all points before each of the ends, which ascend. Non-finite values are ignored. It is
 * clamped to the extremes of its points, so that rounding makes no waves where nothing changes.
 */
function smoothed(values: Column, ends: readonly number[], share: number): number[] {
  const reach = share === 0 ? 1 : Math.ceil(Math.log(NEGLIGIBLE) / Math.log(share));
  let [mean, weight, min, max] = [0, 0, Infinity, -Infinity];
  let done = 0;
  return ends.map((end) => {
    if (end - done > reach) {
      [mean, weight, min, max] = [0, 0, Infinity, -Infinity];
      done = end - reach;
    }
    while (done < end) {
      const part = values.read(done, Math.min(end, done + AT_ONCE));
      done += part.length;
      for (const value of part) {
        if (!Number.isFinite(value)) continue;
        mean = share * mean + (1 - share) * value;
        weight = share * weight + (1 - share);
        if (value < min) min = value;
        if (value > max) max = value;
      }
    }
    return weight === 0 ? Number.NaN : Math.min(max, Math.max(min, mean / weight));
  });
}
