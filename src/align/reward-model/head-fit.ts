/**
 * Fits the head of a reward model to rankings, over features that do not change: a convex problem. With the scores
 * s = x·w of standardized features x, the loss is
 *
 *   L(w) = mean over rankings of the Bradley–Terry loss of loss.ts + (λ / 2) |w|²
 *
 * minimized by L-BFGS (Liu and Nocedal 1989) from 0. λ is the one with the lowest loss on left-out prompts: the prompts
 * are parted into five, and each part is predicted by the fit to the others. Nothing is drawn, so that equal data gives
 * an equal head.
 */

import { dot } from '../../dot.ts';
import type { Rankings } from './rankings.ts';

/** Features of completions: `width` numbers in each row, and the row of each completion. Equal ones share a row. */
export interface Features {
  width: number;
  /** All rows, [rows, width]. */
  rows: Float32Array;
  /** The row of each completion. */
  rowOf: Int32Array;
}

/** A ranking as the fit reads it: its completions are `first`, `first` + 1, …. */
type FittedList = Pick<Rankings['lists'][number], 'first' | 'levels' | 'merits' | 'weight' | 'prompt'>;

export interface HeadFitOptions {
  /** ε: the assumed share of wrong labels, from 0 up to ½. */
  labelSmoothing: number;
  /** λ, in place of choosing it. */
  penalty?: number;
}

/** A fitted head. */
export interface HeadFit {
  /** The weight of each feature as it is, [width]: a score is their product. */
  weight: Float32Array;
  /** λ. */
  penalty: number;
  /**
   * The mean loss of each λ on left-out prompts, the strongest first, until it rises; empty if λ was given or there is one
   * prompt.
   */
  tried: { penalty: number; loss: number }[];
  /** The mean loss of the fit on its own rankings, without the penalty. */
  loss: number;
  /** Norm of the gradient where the fit ended. */
  gradientNorm: number;
}

/** The values of λ to choose from, strongest first: each fit begins at the one before. */
export const PENALTIES = Array.from({ length: 11 }, (_, i) => 10 ** (1 - i / 2));
const FOLDS = 5;
const MOST_ITERATIONS = 200;
const MEMORY = 10;

/** Fits a head to rankings. */
export function fitHead(features: Features, lists: readonly FittedList[], options: HeadFitOptions): HeadFit {
  const pairs = pairsOf(features, lists, options.labelSmoothing);
  const scaled = standardized(features, pairs);
  const tried = options.penalty === undefined ? leftOutLosses(scaled, lists, pairs) : [];
  const best = tried.reduce((a, b) => (b.loss < a.loss ? b : a), tried[0]);
  const penalty = options.penalty ?? best?.penalty ?? 1;
  const { w, loss, gradientNorm } = minimize(scaled, pairs, penalty);
  return { weight: Float32Array.from(w, (v, k) => v * scaled.factors[k]), penalty, tried, loss, gradientNorm };
}

/** Pairs of rows: p is the probability that the first is better, of which the fit's is σ(s₁ − s₂ − margin). */
interface Pairs {
  first: Int32Array;
  second: Int32Array;
  p: Float64Array;
  margin: Float64Array;
  weight: Float64Array;
  /** The list that each pair is of. */
  list: Int32Array;
  /** The different rows of these pairs. */
  rows: Int32Array;
}

const differentRows = ({ first, second }: Pick<Pairs, 'first' | 'second'>) =>
  Int32Array.from(new Set([...first, ...second]));

function pairsOf({ rowOf }: Features, lists: readonly FittedList[], labelSmoothing: number): Pairs {
  const all = lists.flatMap(({ first, levels, merits, weight }, list) =>
    levels.flatMap((level, i) =>
      levels.slice(0, i).map((other, j) => {
        const sure = level > other ? 1 - labelSmoothing : labelSmoothing;
        return {
          first: rowOf[first + i],
          second: rowOf[first + j],
          p: level === other ? 0.5 : sure,
          margin: merits[i] - merits[j],
          weight: (2 * weight) / (levels.length * (levels.length - 1)),
          list,
        };
      }),
    ),
  );
  const first = Int32Array.from(all, ({ first }) => first);
  const second = Int32Array.from(all, ({ second }) => second);
  return {
    first,
    second,
    rows: differentRows({ first, second }),
    p: Float64Array.from(all, ({ p }) => p),
    margin: Float64Array.from(all, ({ margin }) => margin),
    weight: Float64Array.from(all, ({ weight }) => weight),
    list: Int32Array.from(all, ({ list }) => list),
  };
}

/** The pairs of some lists. */
function someOf(pairs: Pairs, isIncluded: (list: number) => boolean): Pairs {
  const kept = Int32Array.from([...pairs.list.keys()].filter((i) => isIncluded(pairs.list[i])));
  const whole = (values: Int32Array) => kept.map((i) => values[i]);
  const real = (values: Float64Array) => Float64Array.from(kept, (i) => values[i]);
  const [first, second] = [whole(pairs.first), whole(pairs.second)];
  return {
    first,
    second,
    rows: differentRows({ first, second }),
    p: real(pairs.p),
    margin: real(pairs.margin),
    weight: real(pairs.weight),
    list: whole(pairs.list),
  };
}

interface Scaled {
  width: number;
  /** Features with mean 0 and standard deviation 1 over the rows of the pairs, [rows, width]. */
  rows: Float64Array;
  /** What each feature was multiplied by; 0 for one that is always the same. */
  factors: Float64Array;
}

function standardized({ width, rows }: Features, { rows: used }: Pairs): Scaled {
  const means = new Float64Array(width);
  const factors = new Float64Array(width);
  for (const row of used) for (let k = 0; k < width; k++) means[k] += rows[row * width + k] / used.length;
  for (const row of used)
    for (let k = 0; k < width; k++) factors[k] += (rows[row * width + k] - means[k]) ** 2 / used.length;
  for (let k = 0; k < width; k++) factors[k] = factors[k] > 1e-12 ? 1 / Math.sqrt(factors[k]) : 0;
  const scaled = Float64Array.from(rows, (x, i) => (x - means[i % width]) * factors[i % width]);
  return { width, rows: scaled, factors };
}

/** The mean loss of each λ on left-out prompts, until it rises; none if there is one prompt. */
function leftOutLosses(scaled: Scaled, lists: readonly FittedList[], pairs: Pairs): HeadFit['tried'] {
  const prompts = [...new Set(lists.map(({ prompt }) => prompt))].sort();
  const folds = Math.min(FOLDS, prompts.length);
  if (folds < 2) return [];
  const foldOf = new Map(prompts.map((prompt, i) => [prompt, i % folds]));
  const parts = Array.from({ length: folds }, (_, fold) => {
    const isLeftOut = (list: number) => foldOf.get(lists[list].prompt) === fold;
    return {
      learned: someOf(pairs, (list) => !isLeftOut(list)),
      leftOut: someOf(pairs, isLeftOut),
      w: new Float64Array(scaled.width) as Float64Array,
    };
  });
  const total = sumOf(pairs.weight);
  const tried: HeadFit['tried'] = [];
  let rises = 0;
  for (const penalty of PENALTIES) {
    let loss = 0;
    for (const part of parts) {
      part.w = minimize(scaled, part.learned, penalty, { from: part.w, tolerance: 1e-4 }).w;
      loss += (sumOf(part.leftOut.weight) / total) * lossAt(scaled, part.leftOut, part.w).loss;
    }
    rises = loss > (tried.at(-1)?.loss ?? Number.POSITIVE_INFINITY) ? rises + 1 : 0;
    tried.push({ penalty, loss });
    if (rises === 2) break; // weaker ones overfit more
  }
  return tried;
}

/** The mean loss of pairs, and its gradient. */
function lossAt({ width, rows }: Scaled, pairs: Pairs, w: Float64Array) {
  const count = rows.length / width;
  const scores = new Float64Array(count);
  for (const row of pairs.rows) {
    let sum = 0;
    for (let k = 0, i = row * width; k < width; k++) sum += rows[i++] * w[k];
    scores[row] = sum;
  }
  const { first, second, p, margin, weight } = pairs;
  const pulls = new Float64Array(count);
  const total = sumOf(weight) || 1;
  let loss = 0;
  for (let i = 0; i < p.length; i++) {
    const d = scores[first[i]] - scores[second[i]] - margin[i];
    const share = weight[i] / total;
    loss += share * (softplus(d) - p[i] * d);
    const pull = share * (1 / (1 + Math.exp(-d)) - p[i]);
    pulls[first[i]] += pull;
    pulls[second[i]] -= pull;
  }
  const gradient = new Float64Array(width);
  for (const row of pairs.rows) {
    const pull = pulls[row];
    for (let k = 0, i = row * width; k < width; k++) gradient[k] += pull * rows[i++];
  }
  return { loss, gradient };
}

/** The minimum of the loss with its penalty, by L-BFGS with halved steps. */
function minimize(
  scaled: Scaled,
  pairs: Pairs,
  penalty: number,
  { from = new Float64Array(scaled.width) as Float64Array, tolerance = 1e-7 } = {},
) {
  const at = (w: Float64Array) => {
    const { loss, gradient } = lossAt(scaled, pairs, w);
    for (let k = 0; k < w.length; k++) gradient[k] += penalty * w[k];
    return { w, loss, objective: loss + (penalty / 2) * dot(w, w), gradient };
  };
  let point = at(from);
  const memory: { s: Float64Array; y: Float64Array; scale: number }[] = [];
  for (let i = 0; i < MOST_ITERATIONS && norm(point.gradient) > tolerance; i++) {
    const direction = descent(point.gradient, memory);
    const slope = dot(direction, point.gradient);
    let step = memory.length === 0 ? Math.min(1, 1 / norm(point.gradient)) : 1;
    let next = at(moved(point.w, direction, step));
    while (!(next.objective <= point.objective + 1e-4 * step * slope) && step > 1e-12) {
      step /= 2;
      next = at(moved(point.w, direction, step));
    }
    if (!(next.objective < point.objective)) break; // no better number is left
    const s = next.w.map((value, k) => value - point.w[k]);
    const y = next.gradient.map((value, k) => value - point.gradient[k]);
    const curvature = dot(s, y);
    if (curvature > 0) memory.push({ s, y, scale: 1 / curvature });
    if (memory.length > MEMORY) memory.shift();
    point = next;
  }
  return { w: point.w, loss: point.loss, gradientNorm: norm(point.gradient) };
}

/** The direction of L-BFGS: −H·gradient, with the two loops over what was seen (Nocedal 1980). */
function descent(gradient: Float64Array, memory: readonly { s: Float64Array; y: Float64Array; scale: number }[]) {
  const q = gradient.map((value) => -value);
  const shares = new Float64Array(memory.length);
  for (let i = memory.length - 1; i >= 0; i--) {
    const { s, y, scale } = memory[i];
    shares[i] = scale * dot(s, q);
    for (let k = 0; k < q.length; k++) q[k] -= shares[i] * y[k];
  }
  const last = memory.at(-1);
  if (last) {
    const size = 1 / (last.scale * dot(last.y, last.y));
    for (let k = 0; k < q.length; k++) q[k] *= size;
  }
  for (const [i, { s, y, scale }] of memory.entries()) {
    const share = shares[i] - scale * dot(y, q);
    for (let k = 0; k < q.length; k++) q[k] += share * s[k];
  }
  return q;
}

const moved = (w: Float64Array, direction: Float64Array, step: number) => w.map((v, k) => v + step * direction[k]);
const sumOf = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0);
const norm = (values: Float64Array) => Math.sqrt(dot(values, values));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
