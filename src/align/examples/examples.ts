/** Examples to learn from, held as token ids in typed arrays: a dataset's text is gone once it is read. */
import { createHash } from 'node:crypto';
import { type Place, placeInWords, type Row, shuffled } from '../../data/index.ts';
import { HeedError } from '../../error.ts';
import type { Example } from '../../lm/packing.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import { encodeRow, type Loss } from './encode.ts';

export interface Examples {
  readonly lengths: readonly number[];
  /** A view of the i-th. */
  at(i: number): Example;
}

interface ExampleList extends Examples {
  add(example: Example): void;
}

/** A list that grows: three flat arrays, whatever the number of examples. */
export function createExamples(): ExampleList {
  let ids = new Int32Array(2 ** 12);
  let learn = new Uint8Array(2 ** 12);
  const starts = [0];
  const lengths: number[] = [];
  return {
    lengths,
    at: (i) => ({ ids: ids.subarray(starts[i], starts[i + 1]), learn: learn.subarray(starts[i], starts[i + 1]) }),
    add(example) {
      const start = starts.at(-1)!;
      const end = start + example.ids.length;
      if (end > ids.length) {
        ids = grown(ids, end);
        learn = grown(learn, end);
      }
      ids.set(example.ids, start);
      if (example.learn) learn.set(example.learn, start);
      else learn.fill(1, start, end);
      starts.push(end);
      lengths.push(example.ids.length);
    },
  };
}

/** Examples at hand as a list. */
export function listOf(examples: Iterable<Example>): Examples {
  const list = createExamples();
  for (const example of examples) list.add(example);
  return list;
}

function grown<T extends Int32Array | Uint8Array>(array: T, atLeast: number): T {
  const larger = new (array.constructor as new (length: number) => T)(Math.max(atLeast, 2 * array.length));
  larger.set(array);
  return larger;
}

/** Its end is cut off, it becomes several examples, it is left out, or the reading stops. */
export const truncations = ['cut', 'split', 'drop', 'error'] as const;
type Truncate = (typeof truncations)[number];

interface GatherOptions {
  /** The most tokens of an example. */
  length: number;
  loss?: Loss;
  /** What becomes of an example that is longer. */
  truncate: Truncate;
}

export interface Gathered {
  examples: ExampleList;
  /** How many were longer than a row. */
  long: number;
  /** How many were left out because no token of theirs would be learned. */
  empty: number;
}

/**
 * Makes examples of rows: texts, conversations, or prompts with completions. `source` is what errors call them all.
 *
 * @throws HeedError for a row that cannot be tokenized, one that is too long where that is an error, or where nothing is left
 * to learn; and what `rows` throws.
 */
export async function gatherExamples(
  rows: AsyncIterable<{ value: Row } & Partial<Place>> | Iterable<{ value: Row } & Partial<Place>>,
  tokenizer: Tokenizer,
  source: string,
  { length, loss, truncate }: GatherOptions,
): Promise<Gathered> {
  const examples = createExamples();
  let [count, long, empty] = [0, 0, 0];
  for await (const { value, file = source, line = count + 1, row = count + 1 } of rows) {
    count++;
    const where = placeInWords({ file, line, row });
    let example: Example;
    try {
      example = encodeRow(value, tokenizer, loss);
    } catch (cause) {
      if (!(cause instanceof HeedError)) throw cause;
      throw new HeedError(`${where}: ${cause.message}`, { hint: cause.hint, cause });
    }
    const tooLong = example.ids.length > length;
    if (tooLong) long++;
    if (tooLong && truncate === 'error') {
      throw new HeedError(`${where} has ${example.ids.length} tokens, a row takes ${length}.`, {
        hint: 'Make rows longer (--length), or have long examples cut, split or left out (--truncate).',
      });
    }
    if (tooLong && truncate === 'drop') continue;
    const pieces = piecesOf(example, length).slice(0, truncate === 'split' ? undefined : 1);
    const told = pieces.filter((piece) => learnedTokens(piece) > 0);
    if (told.length === 0) empty++;
    for (const piece of told) examples.add(piece);
  }
  if (examples.lengths.length > 0) return { examples, long, empty };
  if (count === 0) {
    throw new HeedError(`"${source}" has no rows to learn from.`, { hint: 'Give data with at least one row.' });
  }
  const why = long > 0 ? `: ${long} are longer than a row of ${length} tokens` : '';
  throw new HeedError(`None of the ${count} rows of "${source}" has a token to learn${why}.`, {
    hint: 'Look at the rows, at what the loss is over (--loss), and at how long a row is (--length).',
  });
}

/** An example in pieces of at most so many tokens. */
function piecesOf({ ids, learn }: Example, length: number): Example[] {
  const part = (array: ArrayLike<number>, from: number) => Array.prototype.slice.call(array, from, from + length);
  return Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => ({
    ids: part(ids, i * length),
    learn: learn && part(learn, i * length),
  }));
}

/** Tokens of an example that are learned: never its first, which nothing comes before. */
export function learnedTokens({ ids, learn }: Example): number {
  if (!learn) return Math.max(0, ids.length - 1);
  let count = 0;
  for (let i = 1; i < ids.length; i++) count += learn[i];
  return count;
}

/** Takes a share out of the examples, at least one and never all, drawn by the seed: gives the indices of both parts. */
export function holdOut(n: number, share: number, seed: number): { kept: number[]; held: number[] } {
  const order = shuffled(
    Array.from({ length: n }, (_, i) => i),
    seed,
  );
  const size = share === 0 ? 0 : Math.min(n - 1, Math.max(1, Math.round(share * n)));
  const ascending = (a: number, b: number) => a - b;
  return { held: order.slice(0, size).sort(ascending), kept: order.slice(size).sort(ascending) };
}

/** Some of the examples as a list of their own, without a copy. */
export const subset = (examples: Examples, indices: readonly number[]): Examples => ({
  lengths: indices.map((i) => examples.lengths[i]),
  at: (i) => examples.at(indices[i]),
});

/** A checksum of what is learned, by which a resumed training knows that its data is the same. */
export function fingerprint({ lengths, at }: Examples): string {
  const hash = createHash('sha256');
  for (let i = 0; i < lengths.length; i++) {
    const { ids, learn } = at(i);
    hash
      .update(Int32Array.from(ids))
      .update(Uint8Array.from(learn ?? []))
      .update(';');
  }
  return hash.digest('hex');
}
