/** How well one series of numbers follows another. */

/** Pearson's r: 1 if y rises linearly with x. NaN if either is constant. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const n = x.length;
  let [meanX, meanY] = [0, 0];
  for (let i = 0; i < n; i++) {
    meanX += x[i] / n;
    meanY += y[i] / n;
  }
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    xx += (x[i] - meanX) ** 2;
    yy += (y[i] - meanY) ** 2;
    xy += (x[i] - meanX) * (y[i] - meanY);
  }
  // sums of squares below this are rounding errors of a constant
  const flat = (squares: number, mean: number) => squares <= n * (1e-12 * Math.max(1, Math.abs(mean))) ** 2;
  if (flat(xx, meanX) || flat(yy, meanY)) return Number.NaN;
  return Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy))); // rounding can exceed the bounds slightly
}

/** Spearman's ρ: Pearson's r of the ranks, 1 if y rises monotonically with x. Equal values share their mean rank. */
export const spearman = (x: ArrayLike<number>, y: ArrayLike<number>): number => pearson(ranks(x), ranks(y));

/**
 * Share of all pairs with different `truth` that `predicted` orders the same way. A tie of `predicted` counts half. NaN
 * if all of `truth` is equal.
 */
export function pairAccuracy(predicted: ArrayLike<number>, truth: ArrayLike<number>): number {
  let [right, pairs] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    for (let j = 0; j < i; j++) {
      if (truth[i] === truth[j]) continue;
      pairs++;
      right += (1 + Math.sign(predicted[i] - predicted[j]) * Math.sign(truth[i] - truth[j])) / 2;
    }
  }
  return pairs > 0 ? right / pairs : Number.NaN;
}

function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((i, j) => values[i] - values[j]);
  const out = new Float64Array(values.length);
  for (let begin = 0; begin < order.length; ) {
    let end = begin + 1;
    while (end < order.length && values[order[end]] === values[order[begin]]) end++;
    for (let k = begin; k < end; k++) out[order[k]] = (begin + end - 1) / 2;
    begin = end;
  }
  return out;
}
