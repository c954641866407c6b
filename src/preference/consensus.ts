/**
 * What is probably true where people disagree, and how reliable each of them is: the model of Dawid and Skene (1979,
 * "Maximum likelihood estimation of observer error-rates using the EM algorithm"). Each item has one true category;
 * each person gives category l to an item of category k with a probability of their own, independently of the others:
 *
 *   P(k | answers) ∝ p_k Π_j π_j[k, answer of j]
 *
 * Where it departs from the paper: a pseudo-count, most of it on the diagonal, so that somebody with few answers is
 * taken for somewhat reliable, never for infallible, and category k means the same for all.
 */
import type { Rating } from './agreement.ts';

interface ConsensusOptions {
  categories: number;
  /** Answers to each category that a person is taken to have given before the first. */
  prior?: number;
  /** Share of those that were right. */
  trust?: number;
  iterations?: number;
  /** EM ends once no probability moves by more. */
  tolerance?: number;
}

/** What is probably true, and how reliable each annotator is. */
export interface Consensus {
  /** Of each item that was rated: P(category), as item → probabilities. */
  items: Map<number, Float64Array>;
  /** Of each person: π[true][given], as person → rows of `categories`. */
  annotators: Map<number, Float64Array[]>;
  /** Shares of the true categories. */
  shares: Float64Array;
  /** Iterations of expectation maximization until it converged. */
  iterations: number;
}

/** Plain votes would count everybody alike; this counts them by what they turn out to be worth. */
export function dawidSkene(
  ratings: readonly Rating[],
  { categories: size, prior = 2, trust = 0.7, iterations = 100, tolerance = 1e-6 }: ConsensusOptions,
): Consensus {
  const [items, people] = [ratings.map(({ item }) => item), ratings.map(({ annotator }) => annotator)].map(indexOf);
  const [item, person] = [
    Uint32Array.from(ratings, (rating) => items.get(rating.item)!),
    Uint32Array.from(ratings, ({ annotator }) => people.get(annotator)!),
  ];
  // P(category) of item i lies from i·size on; begin with shares of votes
  const truth = new Float64Array(items.size * size);
  for (const [r, { category }] of ratings.entries()) truth[item[r] * size + category]++;
  eachRow(truth, size, normalize);
  // π of person j: from (j·size + true)·size on, by what is given
  const confusion = new Float64Array(people.size * size * size);
  const shares = new Float64Array(size);
  const posterior = new Float64Array(truth.length);
  const off = size > 1 ? (1 - trust) / (size - 1) : 0;
  let done = 0;
  for (let moved = Number.POSITIVE_INFINITY; moved > tolerance && done < iterations; done++) {
    // maximize
    for (let c = 0; c < confusion.length; c++) {
      const right = Math.floor(c / size) % size === c % size;
      confusion[c] = prior * (right ? trust : off);
    }
    for (const [r, { category }] of ratings.entries()) {
      for (let k = 0; k < size; k++) confusion[(person[r] * size + k) * size + category] += truth[item[r] * size + k];
    }
    eachRow(confusion, size, normalize);
    shares.fill(1);
    for (let i = 0; i < truth.length; i++) shares[i % size] += truth[i];
    normalize(shares);
    // expect; by logarithms, as many ratings multiply to less than a number can hold
    const [logs, logShares] = [confusion.map(Math.log), shares.map(Math.log)];
    for (let i = 0; i < posterior.length; i++) posterior[i] = logShares[i % size];
    for (const [r, { category }] of ratings.entries()) {
      for (let k = 0; k < size; k++) posterior[item[r] * size + k] += logs[(person[r] * size + k) * size + category];
    }
    eachRow(posterior, size, softmax);
    moved = 0;
    for (let i = 0; i < truth.length; i++) moved = Math.max(moved, Math.abs(truth[i] - posterior[i]));
    truth.set(posterior);
  }
  const row = (values: Float64Array, at: number) => values.slice(at * size, (at + 1) * size);
  return {
    items: new Map([...items].map(([id, i]) => [id, row(truth, i)])),
    annotators: new Map(
      [...people].map(([id, j]) => [id, Array.from({ length: size }, (_, k) => row(confusion, j * size + k))]),
    ),
    shares,
    iterations: done,
  };
}

/** How probably a person's answer is right, over the true categories. */
export const accuracyOf = ({ annotators, shares }: Pick<Consensus, 'annotators' | 'shares'>, person: number): number =>
  annotators.get(person)!.reduce((sum, row, k) => sum + shares[k] * row[k], 0);

const indexOf = (values: readonly number[]): Map<number, number> =>
  new Map([...new Set(values)].map((value, i) => [value, i]));

function eachRow(values: Float64Array, size: number, change: (row: Float64Array) => void): void {
  for (let from = 0; from < values.length; from += size) change(values.subarray(from, from + size));
}

function softmax(logs: Float64Array): void {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logs.length; i++) most = Math.max(most, logs[i]);
  for (let i = 0; i < logs.length; i++) logs[i] = Math.exp(logs[i] - most);
  normalize(logs);
}

function normalize(values: Float64Array): void {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  for (let i = 0; i < values.length; i++) values[i] /= total;
}
