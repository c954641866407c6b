/** Rows of examples in the order in which a training sees them: endless, drawn from a seed, and resumable anywhere. */
import { epochOrder } from '../../data/index.ts';
import { type Example, packSequences } from '../../lm/packing.ts';
import { random } from '../../random.ts';
import type { Examples } from '../examples/examples.ts';

/** Where a training stands: rows taken of a round. */
export interface RowPosition {
  round: number;
  taken: number;
}

export interface TrainingRows {
  /** The examples of the next row. */
  next(): Example[];
  save(): RowPosition;
  restore(position: RowPosition): void;
}

/** Rows of one round after another; `round` gives those of any, always the same. */
export function createRows(round: (number: number) => Example[][]): TrainingRows {
  let position = { round: 0, taken: 0 };
  let rows: Example[][] | undefined;
  return {
    next() {
      rows ??= round(position.round);
      while (position.taken >= rows.length) {
        position = { round: position.round + 1, taken: 0 };
        rows = round(position.round);
      }
      return rows[position.taken++];
    },
    save: () => ({ ...position }),
    restore(saved) {
      position = { ...saved };
      rows = undefined;
    },
  };
}

interface RowOptions {
  /** Tokens of a row. */
  length: number;
  /** Several examples to a row, else each has its own. */
  packing: boolean;
  seed: number;
}

/** So many examples are packed at a time: enough to fill rows well, few enough that a row's examples are a draw. */
const WINDOW = 4096;

/** Packs examples into rows, in a drawn order. */
export function packExamples<E extends { length: number }>(
  examples: readonly E[],
  { length, packing, seed }: RowOptions,
  round: number,
): E[][] {
  if (!packing) return examples.map((example) => [example]);
  const rows = packSequences(
    examples.map((example) => example.length),
    length,
  ).map((row) => row.map((i) => examples[i]));
  // the packer gives full rows of long examples first
  return Array.from(random(seed, 'rows', round).shuffle(Uint32Array.from(rows.keys())), (i) => rows[i]);
}

/** A dataset again and again, each epoch in an order of its own; and how many rows the first is (others are about as many). */
export function datasetRows(examples: Examples, options: RowOptions): { rows: TrainingRows; perEpoch: number } {
  const n = examples.lengths.length;
  const windows = Math.ceil(n / WINDOW);
  let known: { epoch: number; order: Uint32Array } | undefined;
  const rowsOf = (round: number) => {
    const epoch = Math.floor(round / windows);
    if (known?.epoch !== epoch) known = { epoch, order: epochOrder(n, options.seed, epoch) };
    // windows of one size: a last one of few examples would leave its rows empty
    const [start, end] = [0, 1].map((next) => Math.round((((round % windows) + next) * n) / windows));
    const window = Array.from(known.order.subarray(start, end), (i) => ({ i, length: examples.lengths[i] }));
    return packExamples(window, options, round);
  };
  let perEpoch = 0;
  for (let window = 0; window < windows; window++) perEpoch += rowsOf(window).length;
  return {
    rows: createRows((round) => rowsOf(round).map((row) => row.map(({ i }) => examples.at(i)))),
    perEpoch,
  };
}
