/** An index of a run's samples in their file, which grows with it: a sample is read only when it is needed. */
import { existsSync, fstatSync, readSync } from 'node:fs';
import { withFile } from '../files.ts';
import { decode } from './json.ts';

export interface SampleIndex {
  /** Indexes what was appended since the last call. */
  refresh(): void;
  /** Number of samples by kind. */
  counts(): Record<string, number>;
  /** The steps with samples of a kind, in order. */
  steps(kind?: string): number[];
  /** Samples in order. */
  read(what?: { kind?: string; step?: number; offset?: number; limit?: number }): { total: number; samples: unknown[] };
}

interface Place {
  kind: string;
  step: number;
  begin: number;
  end: number;
}

const PART = 1 << 22;
const NEWLINE = 0x0a;
/** A row's kind and step are at its start; the rest may be megabytes of clips. */
const HEAD = 300;

/** The samples at a path, which need not exist yet. */
export function createSampleIndex(path: string): SampleIndex {
  let places: Place[] = [];
  let offset = 0;
  const matching = (kind?: string, step?: number) =>
    places.filter(
      (place) => (kind === undefined || place.kind === kind) && (step === undefined || place.step === step),
    );

  function refresh(): void {
    if (!existsSync(path)) {
      [places, offset] = [[], 0];
      return;
    }
    withFile(path, (file) => {
      const { size } = fstatSync(file);
      // a resumed run is cut back to its checkpoint
      const last = Buffer.from([NEWLINE]);
      if (size >= offset && offset > 0) readSync(file, last, 0, 1, offset - 1);
      if (size < offset || last[0] !== NEWLINE) [places, offset] = [[], 0];
      const part = Buffer.alloc(Math.min(PART, Math.max(1, size - offset)));
      let head = Buffer.alloc(0);
      for (let at = offset; at < size; ) {
        const count = readSync(file, part, 0, part.length, at);
        if (count === 0) break;
        for (let begin = 0; begin < count; ) {
          const found = part.subarray(0, count).indexOf(NEWLINE, begin);
          const end = found < 0 ? count : found;
          if (head.length < HEAD) head = Buffer.concat([head, part.subarray(begin, Math.min(end, begin + HEAD))]);
          if (found < 0) break;
          if (at + end > offset) places.push(placeOf(head.toString('utf8'), offset, at + end));
          offset = at + end + 1;
          head = Buffer.alloc(0);
          begin = end + 1;
        }
        at += count;
      }
    });
  }

  return {
    refresh,
    counts() {
      const counts: Record<string, number> = {};
      for (const { kind } of places) counts[kind] = (counts[kind] ?? 0) + 1;
      return counts;
    },
    steps: (kind) => [...new Set(matching(kind).map(({ step }) => step))].filter(Number.isFinite),
    read({ kind, step, offset: first = 0, limit = 50 } = {}) {
      const found = matching(kind, step);
      const page = found.slice(first, first + limit);
      if (page.length === 0) return { total: found.length, samples: [] };
      const samples = withFile(path, (file) =>
        page.map(({ begin, end }) => {
          const bytes = Buffer.alloc(end - begin);
          readSync(file, bytes, 0, bytes.length, begin);
          return decode(JSON.parse(bytes.toString('utf8')));
        }),
      );
      return { total: found.length, samples };
    },
  };
}

const placeOf = (head: string, begin: number, end: number): Place => ({
  kind: /"kind":"([^"]*)"/.exec(head)?.[1] ?? 'other',
  step: Number(/"step":(-?[\d.e+-]+)/.exec(head)?.[1] ?? Number.NaN),
  begin,
  end,
});
