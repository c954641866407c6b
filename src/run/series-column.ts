/**
 * Numbers in the order of arrival, most of them in a file. Memory holds the extremes and the sum of every 64, so any
 * stretch can be summarized from these and from the numbers at its two ends.
 */

/** Extremes and sum; the extremes ignore NaN. */
interface Summary {
  min: number;
  max: number;
  sum: number;
}

/** Where numbers that have left memory are: from a byte of the file on, or `first`, `first` + 1, … */
type Place = { at: number } | { first: number };

export interface Column {
  readonly length: number;
  push(value: number): void;
  at(i: number): number;
  /** The numbers from `begin` to before `end`. */
  read(begin: number, end: number): Float64Array;
  summary(begin: number, end: number): Summary;
  /** The first, from `begin` on, that is at least `bound`, or greater than it; the length if there is none. */
  find(bound: number, options?: { begin?: number; greater?: boolean }): number;
  /** The numbers that are only in memory. */
  rest(): readonly number[];
  /** Frees the memory of these numbers: they are now at `place`. */
  moved(place: Place): void;
}

const BLOCK = 64;
/** Numbers read at once if few are requested: the next ones usually follow. */
const AHEAD = 512;

/** `stored` reads numbers from a byte of the file on. */
export function createColumn(stored: (at: number, count: number) => Float64Array): Column {
  // of blocks: where each ends, and its summary
  const ends: number[] = [];
  const mins: number[] = [];
  const maxs: number[] = [];
  const sums: number[] = [];
  let isOpen = false;
  const parts: { begin: number; end: number; place: Place }[] = [];
  let rest: number[] = [];
  let length = 0;
  let ahead: { begin: number; values: Float64Array } = { begin: 0, values: new Float64Array(0) };

  const partRead = ({ begin, place }: (typeof parts)[number], from: number, to: number): Float64Array =>
    'first' in place
      ? Float64Array.from({ length: to - from }, (_, i) => place.first + from - begin + i)
      : stored(place.at + 8 * (from - begin), to - from);

  function read(begin: number, end: number): Float64Array {
    const from = begin - ahead.begin;
    if (from >= 0 && end - ahead.begin <= ahead.values.length) return ahead.values.subarray(from, end - ahead.begin);
    const flushed = length - rest.length;
    if (begin >= flushed) return Float64Array.from(rest.slice(begin - flushed, end - flushed));
    const part = parts[firstAbove(parts.length, (i) => parts[i].end, begin)];
    if (end <= part.end && end - begin <= AHEAD) {
      ahead = { begin, values: partRead(part, begin, Math.min(part.end, begin + AHEAD)) };
      return ahead.values.subarray(0, end - begin);
    }
    if (end <= part.end) return partRead(part, begin, end);
    const all = new Float64Array(end - begin);
    all.set(partRead(part, begin, part.end));
    all.set(read(part.end, end), part.end - begin);
    return all;
  }

  const blockOf = (i: number) => firstAbove(ends.length, (block) => ends[block], i);

  return {
    get length() {
      return length;
    },
    push(value) {
      if (!isOpen) {
        ends.push(length);
        mins.push(Number.POSITIVE_INFINITY);
        maxs.push(Number.NEGATIVE_INFINITY);
        sums.push(0);
      }
      const last = ends.length - 1;
      rest.push(value);
      ends[last] = ++length;
      if (value < mins[last]) mins[last] = value;
      if (value > maxs[last]) maxs[last] = value;
      sums[last] += value;
      isOpen = length - (last > 0 ? ends[last - 1] : 0) < BLOCK;
    },
    at: (i) => (i >= length - rest.length ? rest[i - length + rest.length] : read(i, i + 1)[0]),
    read,
    summary(begin, end) {
      let [min, max, sum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
      for (let block = blockOf(begin), i = begin; i < end; block++) {
        const stop = Math.min(end, ends[block]);
        if (i === (block > 0 ? ends[block - 1] : 0) && stop === ends[block]) {
          min = Math.min(min, mins[block]);
          max = Math.max(max, maxs[block]);
          sum += sums[block];
        } else {
          for (const value of read(i, stop)) {
            if (value < min) min = value;
            if (value > max) max = value;
            sum += value;
          }
        }
        i = stop;
      }
      return { min, max, sum };
    },
    find(bound, { begin = 0, greater = false } = {}) {
      const isFound = (value: number) => (greater ? value > bound : value >= bound);
      for (let block = blockOf(begin), i = begin; block < ends.length; i = ends[block++]) {
        if (!isFound(maxs[block])) continue;
        const found = read(i, ends[block]).findIndex(isFound);
        if (found >= 0) return i + found;
      }
      return length;
    },
    rest: () => rest,
    moved(place) {
      const begin = length - rest.length;
      if (begin < length) parts.push({ begin, end: length, place });
      rest = [];
      isOpen = false;
    },
  };
}

/** Index of the first of `count` ascending numbers that is greater; the count if there is none. */
function firstAbove(count: number, get: (i: number) => number, bound: number): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (get(middle) > bound) high = middle;
    else low = middle + 1;
  }
  return low;
}
