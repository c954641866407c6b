/**
 * Which held-out rows evaluations measure: all, or a fixed sample where all would take more than a tenth of the
 * training's time. What decides is counted work, never a clock, so that a seed gives the same run on any machine.
 */
import { random } from '../../random.ts';

/** Share of a training's work that its evaluations may take. */
const SHARE = 0.1;

/** Work of a token that is learned, in passes without gradients: with adapters about 2, else about 3. */
export const LEARNED = 2;

/** Operations of an evaluation that is never cut: about a second on two cores. */
const FREE = 1e11;

/** Rows of the smallest sample. */
const LEAST = 8;

/** A sample of held-out rows. */
export interface HeldOutSample {
  /** Indices of the rows that every evaluation measures, ascending. */
  sampled: number[];
  /** Indices of the others, ascending. */
  rest: number[];
  /** Whether the last evaluation measures the others too. */
  restAtEnd: boolean;
}

/** What the size of a sample depends on. */
export interface SampledTraining {
  /** Parameters of the model. */
  parameters: number;
  /** Tokens of the whole training, in passes without gradients. */
  work: number;
  /** The options of the training. */
  options: { evaluations: number; evaluationRows?: number; seed: number };
}

/** Chooses the rows that evaluations measure. `lengths` are the tokens of each held-out row. */
export function sampleHeldOut(
  lengths: readonly number[],
  { parameters, work, options: { evaluations, evaluationRows, seed } }: SampledTraining,
): HeldOutSample {
  const n = lengths.length;
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const count = Math.max(1, evaluations) + 1; // with the one before the first step
  const most = SHARE * work;
  const isAll =
    evaluationRows === undefined
      ? total * count <= most || 2 * parameters * total <= FREE
      : evaluationRows === 0 || evaluationRows >= n;
  if (isAll) return { sampled: [...lengths.keys()], rest: [], restAtEnd: false };
  const restAtEnd = total <= most / 2;
  const each = restAtEnd ? (most - total) / count : most / count;
  const order = Array.from(random(seed, 'evaluated rows').shuffle(Uint32Array.from(lengths.keys())));
  const sampled = order.slice(0, evaluationRows ?? Math.max(LEAST, rowsWithin(order, lengths, each)));
  const rest = order.slice(sampled.length);
  return { sampled: sampled.sort(ascending), rest: rest.sort(ascending), restAtEnd };
}

/** How many of the first rows have no more than these tokens together. */
function rowsWithin(order: readonly number[], lengths: readonly number[], tokens: number): number {
  let sum = 0;
  const past = order.findIndex((row) => {
    sum += lengths[row];
    return sum > tokens;
  });
  return past < 0 ? order.length : past;
}

const ascending = (a: number, b: number) => a - b;
