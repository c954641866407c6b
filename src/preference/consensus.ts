/**
 * What is probably true where people disagree, and how reliable each of them is: the model of Dawid and Skene (1979, "Maximum
 * likelihood estimation of observer error-rates using the EM algorithm"). Each item has one true category; each person gives
 * category l to an item of category k with a probability of their own, independently of the others:
 *
 *   P(k | answers) ∝ p_k Π_j π_j[k, answer of j]
 *
 * Where it departs from the paper: a pseudo-count, most of it on the diagonal, so that somebody with few answers is taken for
 * somewhat reliable, never for infallible, and category k means the same for all.
 */
import type { Rating } from './agreement.ts';

export interface ConsensusOptions {
  categories: number;
  /** Answers to each category that a person is taken to have given before the first. */
  prior?: number;
  /** Share of those that were right. */
  trust?: number;
  iterations?: number;
  /** EM ends once no probability moves by more. */
  tolerance?: number;
}

export interface Consensus {
  /** Of each item that was rated: P(category), as item → probabilities. */
  items: Map<number, Float64Array>;
  /** Of each person: π[true][given], as person → rows of `categories`. */
  annotators: Map<number, Float64Array[]>;
  /** Shares of the true categories. */
  shares: Float64Array;
  iterations: number;
}

/** Plain votes would count everybody alike; this counts them by what they turn out to be worth. */
export function dawidSkene(
  ratings: readonly Rating[],
  { categories, prior = 2, trust = 0.7, iterations = 100, tolerance = 1e-6 }: ConsensusOptions,
): Consensus {
  const byItem = new Map<number, Rating[]>();
  for (const rating of ratings) byItem.set(rating.item, [...(byItem.get(rating.item) ?? []), rating]);
  const people = new Set(ratings.map(({ annotator }) => annotator));
  // begin with shares of votes
  const items = new Map<number, Float64Array>(
    [...byItem].map(([item, own]) => {
      const votes = new Float64Array(categories);
      for (const { category } of own) votes[category] += 1 / own.length;
      return [item, votes];
    }),
  );
  let consensus: Pick<Consensus, 'shares' | 'annotators'> = { shares: new Float64Array(), annotators: new Map() };
  let done = 0;
  for (let moved = Number.POSITIVE_INFINITY; moved > tolerance && done < iterations; done++) {
    consensus = maximise(ratings, items, people, { categories, prior, trust });
    moved = 0;
    for (const [item, own] of byItem) {
      const told = expect(own, consensus, categories);
      for (const [k, p] of items.get(item)!.entries()) moved = Math.max(moved, Math.abs(p - told[k]));
      items.set(item, told);
    }
  }
  return { items, ...consensus, iterations: done };
}

/** How probably a person's answer is right, over the true categories. */
export const accuracyOf = ({ annotators, shares }: Pick<Consensus, 'annotators' | 'shares'>, person: number): number =>
  annotators.get(person)!.reduce((sum, row, k) => sum + shares[k] * row[k], 0);

function maximise(
  ratings: readonly Rating[],
  items: ReadonlyMap<number, Float64Array>,
  people: ReadonlySet<number>,
  { categories, prior, trust }: { categories: number; prior: number; trust: number },
) {
  const off = categories > 1 ? (1 - trust) / (categories - 1) : 0;
  const annotators = new Map(
    [...people].map((person) => [
      person,
      Array.from({ length: categories }, (_, k) =>
        Float64Array.from({ length: categories }, (_, l) => prior * (k === l ? trust : off)),
      ),
    ]),
  );
  for (const { item, annotator, category } of ratings) {
    const rows = annotators.get(annotator)!;
    for (const [k, p] of items.get(item)!.entries()) rows[k][category] += p;
  }
  for (const rows of annotators.values()) for (const row of rows) normalise(row);
  const shares = new Float64Array(categories).fill(1);
  for (const own of items.values()) for (const [k, p] of own.entries()) shares[k] += p;
  return { annotators, shares: normalise(shares) };
}

function expect(
  own: readonly Rating[],
  { shares, annotators }: Pick<Consensus, 'shares' | 'annotators'>,
  categories: number,
): Float64Array {
  // logarithms: many ratings multiply to less than a number can hold
  const logs = Float64Array.from({ length: categories }, (_, k) =>
    own.reduce(
      (sum, { annotator, category }) => sum + Math.log(annotators.get(annotator)![k][category]),
      Math.log(shares[k]),
    ),
  );
  const most = Math.max(...logs);
  return normalise(logs.map((log) => Math.exp(log - most)));
}

function normalise(values: Float64Array): Float64Array {
  const total = values.reduce((a, b) => a + b, 0);
  for (let i = 0; i < values.length; i++) values[i] /= total;
  return values;
}
