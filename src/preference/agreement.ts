/**
 * Annotator agreement beyond chance. Categories count from 0; an item may lack ratings of some annotators.
 *
 * κ and α are 1 for perfect agreement, 0 for agreement by chance, and may be negative. They are NaN if chance alone
 * would always agree (everybody chose one category), or no item was rated twice.
 */

import { grouped } from '../grouped.ts';
import { random } from '../random.ts';

/** One annotator's rating of an item. */
export interface Rating {
  /** Number of the item. */
  item: number;
  /** Number of the annotator. Nobody rates an item twice. */
  annotator: number;
  /** Number of the category, on the scale that the level of measurement reads. */
  category: number;
}

/**
 * Cohen's κ (1960) of two annotators' ratings of the same items: (p_o − p_e) / (1 − p_e). `options`: for each item, how
 * many categories, counted from 0, stand for options without an order of their own. Two ratings that are options are then
 * the same by chance in 1 of k cases, whichever option a file lists first.
 */
export function cohenKappa(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  options: readonly number[] = [],
): number {
  const n = first.length;
  const size =
    1 + [...Array.from(first), ...Array.from(second)].reduce((most, category) => Math.max(most, category), 0);
  const shares = [new Float64Array(size), new Float64Array(size)];
  let equal = 0;
  for (let i = 0; i < n; i++) {
    equal += Number(first[i] === second[i]);
    shares[0][first[i]]++;
    shares[1][second[i]]++;
  }
  return beyondChance(equal / n, chanceOf(shares[0], shares[1], options) / n ** 2);
}

/**
 * Fleiss' κ (1971): items with equal numbers of ratings. `counts[item][category]` is the number of ratings, and `options`
 * as in `cohenKappa`.
 */
export function fleissKappa(counts: readonly ArrayLike<number>[], options: readonly number[] = []): number {
  const raters = sum(counts[0]);
  const totals = new Float64Array(counts[0].length);
  let equal = 0;
  for (const row of counts) {
    for (let c = 0; c < totals.length; c++) {
      equal += row[c] * (row[c] - 1);
      totals[c] += row[c];
    }
  }
  const chance = chanceOf(totals, totals, options) / (raters * counts.length) ** 2;
  return beyondChance(equal / (raters * (raters - 1) * counts.length), chance);
}

/** How often two ratings are the same by chance, from the counts of their categories. */
function chanceOf(one: Float64Array, other: Float64Array, options: readonly number[]): number {
  const alike = options.reduce((most, count) => Math.max(most, count), 0);
  const same = alike === 0 ? 0 : options.reduce((total, count) => total + 1 / count, 0) / options.length;
  let chance = sum(one.subarray(0, alike)) * sum(other.subarray(0, alike)) * same;
  for (let c = alike; c < one.length; c++) chance += one[c] * other[c];
  return chance;
}

/**
 * Levels of measurement, which say how far apart two categories are. `nominal`: equal or different, for categories
 * without order. `ordinal`: by how many ratings lie between them, for an order without equal steps, such as bad, fair,
 * good. `interval`: by the difference of their numbers, for a scale with equal steps.
 */
export const measurementLevels = ['nominal', 'ordinal', 'interval'] as const;
/** One of the levels of measurement. */
export type MeasurementLevel = (typeof measurementLevels)[number];

/**
 * Krippendorff's α (2011, "Computing Krippendorff's alpha-reliability"): any number of ratings per item; items with a
 * single rating are ignored. α = 1 − D_o / D_e. D_o is the mean squared distance δ² of two ratings of the same item,
 * each item weighted by its ratings, and D_e that of any two ratings. With n_g ratings of category g:
 *
 *   nominal  δ²(c, k) = 1 if c ≠ k
 *   ordinal  δ²(c, k) = (Σ_{g=c..k} n_g − (n_c + n_k) / 2)²
 *   interval δ²(c, k) = (c − k)²
 *
 * With `mirror`, each item counts in both orders of its two options: D_e is the mean over any two ratings, each in both
 * orders, and an ordinal δ takes n_g as the mean of both. D_o is the same in both. So α does not depend on which option
 * a file lists first.
 */
export function krippendorffAlpha(
  ratings: readonly Rating[],
  level: MeasurementLevel = 'nominal',
  mirror?: Mirror,
): number {
  return alphaOf([...byItem(ratings).values()], level, mirror);
}

/** What a category becomes when the two options of an item change places. Twice, it is the category itself. */
export type Mirror = (category: number) => number;

/** Krippendorff's α of a set of ratings, with its interval. */
export interface Reliability {
  /** Krippendorff's α of all ratings. */
  alpha: number;
  /** 95 % interval, by resampling items; NaN if α is. */
  interval: [low: number, high: number];
  /** Items that at least two people rated. */
  items: number;
}

/** Options of `reliability`. */
export interface ReliabilityOptions {
  /** How far apart two categories are; `nominal` by default. */
  level?: MeasurementLevel;
  /** For items whose two options have no order of their own: counts each in both orders. */
  mirror?: Mirror;
  /** Samples that the interval is made from; 1000 by default. */
  resamples?: number;
  /** Draws the samples; the same seed gives the same interval. */
  seed?: number;
  /** The group of an item: items of a group are drawn together, and count as one. By default each is its own. */
  groupOf?: (item: number) => number;
}

/** α with a percentile bootstrap over items (Efron 1979). */
export function reliability(
  ratings: readonly Rating[],
  { level = 'nominal', mirror, resamples = 1000, seed = 0, groupOf = (item) => item }: ReliabilityOptions = {},
): Reliability {
  // few items differ in how they were rated: a resample counts how often it has each of these
  const rated = [...byItem(ratings)].filter(([, categories]) => categories.length > 1);
  const keys = rated.map(([, categories]) => patternOf(categories, mirror));
  // sorted, so that sums come out the same to the last bit whatever the order of items and options
  const patterns = [...new Set(keys)].sort();
  const places = new Map(patterns.map((key, place) => [key, place]));
  const different = patterns.map((key) => key.split(',').map(Number));
  const counts = new Float64Array(different.length);
  const groups = new Map<number, number[]>();
  for (const [i, [item]] of rated.entries()) {
    const place = places.get(keys[i])!;
    counts[place]++;
    const group = groups.get(groupOf(item));
    if (group) group.push(place);
    else groups.set(groupOf(item), [place]);
  }
  const all = [...groups.values()];
  const alpha = alphaOf(different, level, mirror, counts);
  if (Number.isNaN(alpha)) return { alpha, interval: [Number.NaN, Number.NaN], items: all.length };
  const draws = random(seed, 'bootstrap');
  const drawn = Array.from({ length: resamples }, () => {
    const times = new Float64Array(different.length);
    for (let i = 0; i < all.length; i++) for (const place of all[draws.integer(all.length)]) times[place]++;
    return alphaOf(different, level, mirror, times);
  })
    .filter((value) => !Number.isNaN(value))
    .sort((a, b) => a - b);
  const at = (share: number) => drawn[Math.min(drawn.length - 1, Math.floor(share * drawn.length))] ?? Number.NaN;
  return { alpha, interval: [at(0.025), at(0.975)], items: all.length };
}

/** Ratings of an item as a text: the same for any order of the ratings and, with `mirror`, of the item's options. */
function patternOf(ratings: readonly number[], mirror: Mirror | undefined): string {
  const sorted = (categories: readonly number[]) => categories.toSorted((a, b) => a - b).join();
  const [one, other] = [sorted(ratings), sorted(mirror ? ratings.map(mirror) : ratings)];
  return one < other ? one : other;
}

/** Categories by item. */
const byItem = (ratings: readonly Rating[]): Map<number, number[]> =>
  new Map([...grouped(ratings, ({ item }) => item)].map(([item, all]) => [item, all.map(({ category }) => category)]));

/** `times`: how often each item occurs; once by default. */
function alphaOf(
  items: readonly (readonly number[])[],
  level: MeasurementLevel,
  mirror: Mirror = (category) => category,
  times?: ArrayLike<number>,
): number {
  const size = 1 + items.reduce((most, categories) => categories.reduce((a, b) => Math.max(a, b, mirror(b)), most), -1);
  // coincidences of two categories in an item, each pair weighted by 1 / (ratings − 1)
  const pairs = new Float64Array(size * size);
  const totals = new Float64Array(size);
  for (const [item, rated] of items.entries()) {
    if (rated.length < 2) continue;
    const occurrences = times?.[item] ?? 1;
    for (const [i, a] of rated.entries()) {
      totals[a] += occurrences;
      for (const [j, b] of rated.entries()) if (i !== j) pairs[a * size + b] += occurrences / (rated.length - 1);
    }
  }
  const inBoth = totals.map((total, category) => (total + totals[mirror(category)]) / 2);
  const squared = (a: number, b: number) => distance(Math.min(a, b), Math.max(a, b), inBoth, level) ** 2;
  const all = sum(totals);
  let [observed, expected] = [0, 0];
  for (let a = 0; a < size; a++) {
    for (let b = a; b < size; b++) {
      const same = squared(a, b);
      // two different ratings: either both in the same order of the options, or one in the other order
      const others = a === b ? (totals[a] * (totals[a] - 1)) / 2 : totals[a] * totals[b];
      observed += pairs[a * size + b] * same;
      expected += (others * (same + squared(a, mirror(b)))) / 2 / (all - 1);
    }
  }
  return expected === 0 ? Number.NaN : 1 - observed / expected;
}

function distance(a: number, b: number, totals: Float64Array, level: MeasurementLevel): number {
  if (a === b) return 0;
  if (level === 'nominal') return 1;
  if (level === 'interval') return b - a;
  return sum(totals.subarray(a, b + 1)) - (totals[a] + totals[b]) / 2;
}

const beyondChance = (equal: number, chance: number): number =>
  // 1 − p_e is never exactly 0 in floating point
  1 - chance < 1e-12 ? Number.NaN : (equal - chance) / (1 - chance);

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
