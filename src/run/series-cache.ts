/**
 * A run's metrics as columns in a file beside metrics.jsonl. It is built from metrics.jsonl, and rebuilt if it is gone
 * or belongs to other rows. It is only appended to, in chunks with a checksum: a chunk that a killed process or another
 * version left is ignored. A chunk holds the same rows whoever writes it, so two processes may write one file.
 *
 *     magic, 8 bytes · length of the head, u32 · CRC-32 of head and numbers, u32 ·
 *     count of the numbers, u32 · 0, u32
 *     head, JSON filled up with spaces to 8 bytes · numbers, f64:
 *     steps, times, each metric's values and, unless it is in every row, rows
 */
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { crc32 } from 'node:zlib';
import { HeedError } from '../error.ts';
import { withFile } from '../files.ts';

/** The head of a chunk. */
interface ChunkHead {
  /** Its first row and the number of rows. */
  first: number;
  rows: number;
  /** Where they end in metrics.jsonl, and the bytes before that place. */
  offset: number;
  tail: string;
  metrics: { name: string; points: number; isInEveryRow: boolean }[];
}

interface SeriesCache {
  /** `count` numbers from a byte on. @throws HeedError if the file has become shorter. */
  numbers(at: number, count: number): Float64Array;
  /**
   * The chunk at a byte: its head, the range of its numbers, and the numbers. Undefined if there is no complete one.
   */
  chunk(at: number): { head: ChunkHead; at: number; end: number; numbers: Float64Array } | undefined;
  /** Writes a chunk at a byte. Returns the range of its numbers, or undefined if it cannot be written. */
  append(at: number, head: ChunkHead, columns: readonly (readonly number[])[]): { at: number; end: number } | undefined;
  /** Keeps the file open during `act`, which reads it many times. */
  during<T>(act: () => T): T;
}

const MAGIC = Buffer.from('heedcol1');
const LEAD = 24;

export function createSeriesCache(path: string): SeriesCache {
  let open: number | undefined;
  const reading = <T>(use: (file: number) => T): T => (open === undefined ? withFile(path, use) : use(open));
  return {
    numbers: (at, count) =>
      reading((file) => {
        const numbers = new Float64Array(count);
        if (readSync(file, numbers, 0, 8 * count, at) === 8 * count) return numbers;
        throw new HeedError(`"${path}" has changed.`, { hint: 'Ask again.' });
      }),
    chunk(at) {
      try {
        return reading((file) => chunkAt(file, at));
      } catch {
        return undefined; // it is rebuilt
      }
    },
    append(at, head, columns) {
      const text = Buffer.from(JSON.stringify(head));
      const begin = LEAD + Math.ceil(text.length / 8) * 8;
      const count = columns.reduce((sum, { length }) => sum + length, 0);
      const bytes = Buffer.alloc(begin + 8 * count, ' ');
      text.copy(bytes, LEAD);
      let place = begin;
      for (const column of columns) for (const value of column) place = bytes.writeDoubleLE(value, place);
      MAGIC.copy(bytes);
      for (const [i, value] of [begin - LEAD, crc32(bytes.subarray(LEAD)), count, 0].entries()) {
        bytes.writeUInt32LE(value, 8 + 4 * i);
      }
      // a read-only folder, a full disk: pages work all the same
      try {
        if (endianness() !== 'LE') return undefined;
        const file = openSync(path, constants.O_RDWR | constants.O_CREAT);
        try {
          for (let done = 0; done < bytes.length; ) {
            done += writeSync(file, bytes, done, bytes.length - done, at + done);
          }
        } finally {
          closeSync(file);
        }
        return { at: at + begin, end: at + bytes.length };
      } catch {
        return undefined;
      }
    },
    during(act) {
      if (open !== undefined) return act();
      try {
        open = openSync(path, 'r');
      } catch {
        return act(); // there is none yet
      }
      try {
        return act();
      } finally {
        closeSync(open);
        open = undefined;
      }
    },
  };
}

function chunkAt(file: number, at: number): ReturnType<SeriesCache['chunk']> {
  const lead = Buffer.alloc(LEAD);
  if (readSync(file, lead, 0, LEAD, at) < LEAD || !lead.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const [size, sum, count] = [8, 12, 16].map((i) => lead.readUInt32LE(i));
  const begin = at + LEAD;
  const end = begin + size + 8 * count;
  if (end > fstatSync(file).size) return undefined;
  // numbers must be aligned to 8 bytes in memory
  const content = new Uint8Array(size + 8 * count);
  if (readSync(file, content, 0, content.length, begin) < content.length || crc32(content) !== sum) return undefined;
  const head = JSON.parse(Buffer.from(content.buffer, 0, size).toString('utf8'));
  return { head, at: begin + size, end, numbers: new Float64Array(content.buffer, size, count) };
}
