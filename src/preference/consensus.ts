/**
 * The consensus of annotators who disagree, and how reliable each of them is: the model of Dawid and Skene (1979,
 * "Maximum likelihood estimation of observer error-rates using the EM algorithm"). Each item has one true category.
 * Each annotator gives category l to an item of category k with a fixed probability, independently of the others:
 *
 *   P(k | answers) ∝ p_k Π_j π_j[k, answer of j]
 *
 * Difference from the paper: a pseudo-count, most of it on the diagonal. So an annotator with few ratings counts as
 * somewhat reliable, never as infallible, and category k means the same for all.
 */
import type { Rating } from './agreement.ts';

interface ConsensusOptions {
  categories: number;
  /** Pseudo-count of ratings per category for each annotator. */
  prior?: number;
  /** Share of these that are right. */
  trust?: number;
  iterations?: number;
  /** True categories that are known, by item: those of gold items. They say how reliable annotators are. */
  known?: ReadonlyMap<number, number>;
  /**
   * The first so many categories stand for options without an order of their own (such as first and second of a pair):
   * whatever is estimated is the same for each of them. So it does not depend on which option a file lists first.
   */
  exchangeable?: number;
  /** EM ends when no probability changes by more than this. */
  tolerance?: number;
}

/** The most likely categories, and how reliable each annotator is. */
export interface Consensus {
  /** By rated item: P(category), as item → probabilities. */
  items: Map<number, Float64Array>;
  /** By annotator: π[true][given], as annotator → rows of `categories`. */
  annotators: Map<number, Float64Array[]>;
  /** Shares of the true categories. */
  shares: Float64Array;
  /** Iterations of expectation maximization until it converged. */
  iterations: number;
}

/** Estimates the consensus by EM. Unlike a majority, it weights annotators by their estimated reliability. */
export function dawidSkene(
  ratings: readonly Rating[],
  {
    categories: size,
    prior = 2,
    trust = 0.7,
    iterations = 100,
    known = new Map(),
    exchangeable = 0,
    tolerance = 1e-6,
  }: ConsensusOptions,
): Consensus {
  const [items, people] = [ratings.map(({ item }) => item), ratings.map(({ annotator }) => annotator)].map(indexOf);
  const [item, person] = [
    Uint32Array.from(ratings, (rating) => items.get(rating.item)!),
    Uint32Array.from(ratings, ({ annotator }) => people.get(annotator)!),
  ];
  // P(category) of item i is at i·size; it starts from vote shares
  const truth = new Float64Array(items.size * size);
  for (const [r, { category }] of ratings.entries()) truth[item[r] * size + category]++;
  eachRow(truth, size, normalize);
  const sure = [...known].flatMap(([id, category]) => {
    const i = items.get(id);
    return i === undefined ? [] : [{ i, category }];
  });
  const fix = (probabilities: Float64Array) => {
    for (const { i, category } of sure) {
      probabilities.fill(0, i * size, (i + 1) * size);
      probabilities[i * size + category] = 1;
    }
  };
  fix(truth);
  const open = new Uint8Array(items.size).fill(1);
  for (const { i } of sure) open[i] = 0;
  // π of annotator j: at (j·size + true)·size, by rated category
  const confusion = new Float64Array(people.size * size * size);
  const shares = new Float64Array(size);
  const posterior = new Float64Array(truth.length);
  const off = size > 1 ? (1 - trust) / (size - 1) : 0;
  let done = 0;
  for (let moved = Number.POSITIVE_INFINITY; moved > tolerance && done < iterations; done++) {
    // M step
    for (let c = 0; c < confusion.length; c++) {
      const right = Math.floor(c / size) % size === c % size;
      confusion[c] = prior * (right ? trust : off);
    }
    for (const [r, { category }] of ratings.entries()) {
      for (let k = 0; k < size; k++) confusion[(person[r] * size + k) * size + category] += truth[item[r] * size + k];
    }
    if (exchangeable > 1) eachRow(confusion, size * size, (matrix) => poolConfusion(matrix, size, exchangeable));
    eachRow(confusion, size, normalize);
    shares.fill(1);
    // gold items may have been chosen by their category
    for (let i = 0; i < truth.length; i++) shares[i % size] += open[Math.floor(i / size)] * truth[i];
    if (exchangeable > 1) pool(shares, range(exchangeable));
    normalize(shares);
    // E step, with logarithms: the product of many ratings underflows
    const [logs, logShares] = [confusion.map(Math.log), shares.map(Math.log)];
    for (let i = 0; i < posterior.length; i++) posterior[i] = logShares[i % size];
    for (const [r, { category }] of ratings.entries()) {
      for (let k = 0; k < size; k++) posterior[item[r] * size + k] += logs[(person[r] * size + k) * size + category];
    }
    eachRow(posterior, size, softmax);
    fix(posterior);
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

/** The probability that an annotator is right, over the true categories. */
export const accuracyOf = ({ annotators, shares }: Pick<Consensus, 'annotators' | 'shares'>, person: number): number =>
  annotators.get(person)!.reduce((sum, row, k) => sum + shares[k] * row[k], 0);

const indexOf = (values: readonly number[]): Map<number, number> =>
  new Map([...new Set(values)].map((value, i) => [value, i]));

/** Puts the mean of some values in the place of each. */
function pool(values: Float64Array, places: readonly number[]): void {
  const mean = places.reduce((sum, place) => sum + values[place], 0) / places.length;
  for (const place of places) values[place] = mean;
}

/** Makes the counts of an annotator the same for each of the first `options` categories. */
function poolConfusion(counts: Float64Array, size: number, options: number): void {
  const all = range(options);
  pool(
    counts,
    all.map((k) => k * size + k),
  );
  pool(
    counts,
    all.flatMap((k) => all.flatMap((l) => (k === l ? [] : [k * size + l]))),
  );
  for (let other = options; other < size; other++) {
    pool(
      counts,
      all.map((k) => k * size + other),
    );
    pool(
      counts,
      all.map((k) => other * size + k),
    );
  }
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

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
