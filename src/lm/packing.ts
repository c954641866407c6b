/** Sequences of any length packed into rows of one length, so that no token of a batch is padding. */
import { HeedError } from '../error.ts';

/** A sequence to learn from. */
export interface Example {
  ids: ArrayLike<number>;
  /** Which tokens are to be learnt (1) or only read (0); all where absent. The first has nothing before it to tell it. */
  learn?: ArrayLike<number>;
  /** Tokens behind which the state itself is read (by a head for rewards or values), in place of labels to be told. */
  at?: ArrayLike<number>;
  /** Its number in sums by sequence: counted through the batch where absent. */
  sequence?: number;
}

/**
 * Puts sequences into rows of `length` tokens: the longest first, each into the row with the least room that still
 * takes it (best-fit decreasing; Ding et al. 2024). Gives the indices of the sequences in each row.
 *
 * @throws HeedError where a sequence is longer than a row.
 */
export function packSequences(lengths: readonly number[], length: number): number[][] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a] || a - b);
  // rows by the room they have left: few different numbers, so each search is a walk over at most `length` lists
  const rows: number[][] = [];
  const byRoom: number[][] = Array.from({ length: length + 1 }, () => []);
  for (const i of order) {
    const need = lengths[i];
    if (need > length) {
      throw new HeedError(`a sequence of ${need} tokens does not fit a row of ${length}`, {
        hint: 'truncate it, or make rows longer',
      });
    }
    let room = need;
    while (room < length && byRoom[room].length === 0) room++;
    const row = byRoom[room].shift() ?? rows.push([]) - 1;
    rows[row].push(i);
    byRoom[room - need].push(row);
  }
  return rows;
}

/** A batch as a packed program reads it; arrays of rows · time tokens, row after row. */
export interface PackedBatch {
  rows: number;
  time: number;
  ids: Int32Array;
  /** The number of a token's sequence within its row; padding has its own, −1. */
  segments: Int32Array;
  /** Each token's place in its sequence. */
  positions: Int32Array;
  /** Tokens whose state is read, mostly to tell the next: their places in the batch, and what is to be told. */
  at: Int32Array;
  labels: Int32Array;
  /** The number of the sequence that each label belongs to. */
  sequences: Int32Array;
  /** Tokens that are no padding. */
  tokens: number;
}

/** Lays sequences out, one list for each row. */
export function packedBatch(rows: readonly (readonly Example[])[], time: number, padding = 0): PackedBatch {
  const size = rows.length * time;
  const ids = new Int32Array(size).fill(padding);
  const segments = new Int32Array(size).fill(-1);
  const positions = new Int32Array(size);
  const at: number[] = [];
  const labels: number[] = [];
  const numbers: number[] = [];
  let [tokens, count] = [0, 0];
  for (const [r, sequences] of rows.entries()) {
    let start = r * time;
    for (const [segment, { ids: given, learn, at: read, sequence = count }] of sequences.entries()) {
      if (start + given.length > (r + 1) * time) {
        throw new HeedError(`sequences of more than ${time} tokens are in one row`, { hint: 'pack them first' });
      }
      for (let i = 0; i < given.length; i++) {
        ids[start + i] = given[i];
        segments[start + i] = segment;
        positions[start + i] = i;
        if (read || i === 0 || (learn && !learn[i])) continue;
        at.push(start + i - 1);
        labels.push(given[i]);
        numbers.push(sequence);
      }
      for (let i = 0; i < (read?.length ?? 0); i++) {
        at.push(start + read![i]);
        labels.push(0);
        numbers.push(sequence);
      }
      start += given.length;
      tokens += given.length;
      count++;
    }
  }
  return {
    rows: rows.length,
    time,
    ids,
    segments,
    positions,
    at: Int32Array.from(at),
    labels: Int32Array.from(labels),
    sequences: Int32Array.from(numbers),
    tokens,
  };
}
