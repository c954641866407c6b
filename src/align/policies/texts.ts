/** Measures of completions that need no reward: what drifts when a policy exploits one. */
import { type Completion, writtenTokens } from '../reward-functions/reward-function.ts';

/** Tokens per n-gram, unless an option says otherwise. */
export const NGRAM = 3;

const ngramsOf = (ids: readonly number[], n: number): string[] =>
  Array.from({ length: Math.max(0, ids.length - n + 1) }, (_, i) => ids.slice(i, i + n).join());

/** Share of the n-grams of a sequence of tokens that occurred in it before: from 0 to nearly 1. */
export function repetition(ids: readonly number[], n: number): number {
  const all = ngramsOf(ids, n);
  return all.length === 0 ? 0 : 1 - new Set(all).size / all.length;
}

/**
 * For each completion, the share of its distinct n-grams that another completion contains, averaged over the others.
 */
export function sameness(completions: readonly Pick<Completion, 'response' | 'given'>[], n: number): number[] {
  const sets = completions.map((completion) => new Set(ngramsOf(writtenTokens(completion), n)));
  const holders = new Map<string, number>();
  for (const set of sets) for (const ngram of set) holders.set(ngram, (holders.get(ngram) ?? 0) + 1);
  const others = completions.length - 1;
  return sets.map((set) => {
    if (set.size === 0 || others === 0) return 0;
    let shared = 0;
    for (const ngram of set) shared += holders.get(ngram)! - 1;
    return shared / (set.size * others);
  });
}

/** Shares of tokens by id, among all tokens of some completions. */
export type TokenShares = Readonly<Record<string, number>>;

/** How often each token occurs in completions, as a share of all. */
export function tokenShares(completions: readonly Pick<Completion, 'response' | 'given'>[]): TokenShares {
  const counts: Record<string, number> = {};
  let total = 0;
  for (const completion of completions) {
    const written = writtenTokens(completion);
    for (const id of written) counts[id] = (counts[id] ?? 0) + 1;
    total += written.length;
  }
  return Object.fromEntries(Object.entries(counts).map(([id, count]) => [id, count / total]));
}

/** The total variation distance of two distributions of tokens: 0 for equal ones, 1 without a common token. */
export const shiftOf = (one: TokenShares, other: TokenShares): number =>
  [...new Set([...Object.keys(one), ...Object.keys(other)])].reduce(
    (sum, id) => sum + Math.abs((one[id] ?? 0) - (other[id] ?? 0)) / 2,
    0,
  );

/** Pearson's correlation of two lists of numbers; undefined if one of them is constant or has fewer than 8. */
export function correlation(xs: ArrayLike<number>, ys: ArrayLike<number>): number | undefined {
  const n = xs.length;
  if (n < 8) return undefined;
  const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / n;
  const [mx, my] = [mean(xs), mean(ys)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    xy += (xs[i] - mx) * (ys[i] - my);
    xx += (xs[i] - mx) ** 2;
    yy += (ys[i] - my) ** 2;
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : undefined;
}
