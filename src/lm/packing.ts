/**
 * Sequences of any length packed into rows of one length, so that few tokens of a batch are padding; what several of them begin
 * with, such as the prompt of all answers to it, may stand in a row once.
 */
import { HeedError } from '../error.ts';

/** A sequence to learn from. */
export interface Example {
  /** Token ids of the whole sequence. */
  ids: ArrayLike<number>;
  /** Which tokens are to be learned (1) or only read (0); all where absent. The first has nothing before it to tell it. */
  learn?: ArrayLike<number>;
  /** Tokens behind which the state itself is read (by a head for rewards or values), in place of labels to be told. */
  at?: ArrayLike<number>;
  /** Its number in sums by sequence: counted through the batch where absent. */
  sequence?: number;
  /**
   * So many of its first tokens are laid out once for all sequences that stand side by side in a row and begin with the same.
   * No state of theirs is read: the last token of a prompt, which tells the first of an answer, is not among them.
   */
  prefix?: number;
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

export interface PackingOptions {
  /** Tokens that rows may have, see `rowLengths`. */
  lengths: readonly number[];
  /** Tokens of a batch, about; a row at least. */
  tokens: number;
  /** The token that padding is made of. */
  padding: number;
}

/**
 * Lengths of rows for sequences of so many tokens at most, and for such as share a prefix, of so many together: few, so that few
 * sizes of programs are compiled.
 */
export function rowLengths(longest: number, family = longest): number[] {
  const lengths = [0.25, 0.5, 1, 1.5, 2, 3].map((times) => Math.ceil(times * longest));
  return [...new Set(family <= 4 * longest ? [...lengths, family] : lengths)];
}

/** A batch, and which sequences it has: their labels come in this order. */
export interface PackedPart {
  batch: PackedBatch;
  members: number[];
}

/**
 * Packs sequences, those with the same prefix side by side, into batches of rows of the length that computes least.
 *
 * @throws HeedError where a sequence is longer than all rows.
 */
export function packedBatches(
  examples: readonly Example[],
  { lengths, tokens, padding }: PackingOptions,
): PackedPart[] {
  const longest = examples.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const fitting = lengths.filter((time) => time >= longest);
  const [best] = (fitting.length > 0 ? fitting : [Math.max(...lengths)])
    .map((time) => {
      const families = familiesOf(examples, time);
      const rooms = families.map((members) => roomOf(members.map((i) => examples[i])));
      const packed = packSequences(rooms, time).map((row) => row.flatMap((i) => families[i]));
      const parts = Math.max(1, Math.ceil((packed.length * time) / Math.max(time, tokens)));
      const rows = roundedRows(Math.ceil(packed.length / parts));
      return { cost: parts * rows * time * (1 + seenIn(time) / ATTENTION), time, parts, rows, packed };
    })
    .sort((a, b) => a.cost - b.cost);
  const { time, parts, rows, packed } = best;
  return Array.from({ length: parts }, (_, part) => {
    const [start, end] = [part, part + 1].map((at) => Math.round((at * packed.length) / parts));
    const filled = packed.slice(start, end).map((row) => row.map((i) => examples[i]));
    const missing = Array.from({ length: rows - filled.length }, () => []);
    return { batch: packedBatch([...filled, ...missing], time, padding), members: packed.slice(start, end).flat() };
  });
}

/** A token that sees so many others takes as long for that as for all else: about, of models of 1M and 10M parameters. */
const ATTENTION = 600;

/** How many tokens one sees on average, itself included: in rows of 256 and more, scores of later ones are mostly left out. */
const seenIn = (time: number): number => (time < 256 ? time : time / 2 + 64);

/** Eight to sixteen numbers of rows from one power of two to the next: an eighth of them at most is padding. */
function roundedRows(rows: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(rows / 8)));
  return Math.ceil(rows / step) * step;
}

/** Sequences with the same prefix together, as many as a row of `length` has room for. */
function familiesOf(examples: readonly Example[], length: number): number[][] {
  const open = new Map<string, { members: number[]; room: number }>();
  const families: number[][] = [];
  for (const [i, example] of examples.entries()) {
    const { ids, prefix = 0 } = example;
    const key = Array.prototype.slice.call(ids, 0, prefix).join();
    const family = prefix > 0 ? open.get(key) : undefined;
    if (family && family.room >= ids.length - prefix) {
      family.members.push(i);
      family.room -= ids.length - prefix;
      continue;
    }
    const members = [i];
    families.push(members);
    open.set(key, { members, room: length - ids.length });
  }
  return families;
}

/** Tokens that sequences of one prefix take. */
const roomOf = ([first, ...others]: readonly Example[]): number =>
  others.reduce((room, { ids, prefix = 0 }) => room + ids.length - prefix, first.ids.length);

/** A batch as a packed program reads it; arrays of rows · time tokens, row after row. */
export interface PackedBatch {
  /** Number of rows. */
  rows: number;
  /** Tokens in a row. */
  time: number;
  /** Token ids, padding included. */
  ids: Int32Array;
  /** The number of a token's segment within its row: its sequence, or its prefix; padding has its own, −1. */
  segments: Int32Array;
  /** The number of the segment that comes before a token's own, or its own. Absent where no prefix is shared. */
  prefixes?: Int32Array;
  /** Each token's place in its sequence. */
  positions: Int32Array;
  /** Tokens whose state is read, mostly to tell the next: their places in the batch, and what is to be told. */
  at: Int32Array;
  /** The token that each state in `at` predicts. */
  labels: Int32Array;
  /** The number of the sequence that each label belongs to. */
  sequences: Int32Array;
  /** Tokens of all sequences, each with its prefix. */
  tokens: number;
}

/** Lays sequences out, one list for each row. */
export function packedBatch(rows: readonly (readonly Example[])[], time: number, padding = 0): PackedBatch {
  const size = rows.length * time;
  const ids = new Int32Array(size).fill(padding);
  const segments = new Int32Array(size).fill(-1);
  const prefixes = new Int32Array(size).fill(-1);
  const positions = new Int32Array(size);
  const at: number[] = [];
  const labels: number[] = [];
  const numbers: number[] = [];
  let [tokens, count] = [0, 0];
  let isShared = false;
  for (const [r, sequences] of rows.entries()) {
    let [start, segment] = [r * time, 0];
    /** Where the prefix lies that comes before, and the number of its segment. */
    let family = { start, segment };
    const layOut = (sequence: ArrayLike<number>, from: number, to: number, follows: number) => {
      if (start + to - from > (r + 1) * time) {
        throw new HeedError(`sequences of more than ${time} tokens are in one row`, { hint: 'pack them first' });
      }
      for (let i = from; i < to; i++, start++) {
        ids[start] = sequence[i];
        segments[start] = segment;
        prefixes[start] = follows;
        positions[start] = i;
      }
      segment++;
    };
    for (const [place, example] of sequences.entries()) {
      const { ids: all, learn, at: read, sequence = count } = example;
      const follows = beginAlike(sequences[place - 1], example);
      const shared = follows || beginAlike(example, sequences[place + 1]) ? example.prefix! : 0;
      if (shared && !follows) {
        family = { start, segment };
        layOut(all, 0, shared, segment);
      }
      const own = start - shared;
      layOut(all, shared, all.length, shared ? family.segment : segment);
      const addLabel = (from: number, label: number) => {
        if (from < shared) {
          throw new HeedError(`the state behind token ${from} is read, which is in a shared prefix of ${shared}`);
        }
        at.push(own + from);
        labels.push(label);
        numbers.push(sequence);
      };
      for (let i = 1; i < all.length; i++) if (!read && (!learn || learn[i])) addLabel(i - 1, all[i]);
      for (let i = 0; i < (read?.length ?? 0); i++) addLabel(read![i], 0);
      isShared ||= shared > 0;
      tokens += all.length;
      count++;
    }
  }
  return {
    rows: rows.length,
    time,
    ids,
    segments,
    prefixes: isShared ? prefixes : undefined,
    positions,
    at: Int32Array.from(at),
    labels: Int32Array.from(labels),
    sequences: Int32Array.from(numbers),
    tokens,
  };
}

function beginAlike(a: Example | undefined, b: Example | undefined): boolean {
  if (!a?.prefix || a.prefix !== b?.prefix) return false;
  for (let i = 0; i < a.prefix; i++) if (a.ids[i] !== b.ids[i]) return false;
  return true;
}
