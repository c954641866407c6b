/** Running statistics, and the normalization of PPO's reference implementations. */

/** Mean and variance of each of `size` numbers over all rows so far (Chan et al. 1983, batch update). */
export interface RunningStatistics {
  count: number;
  mean: Float64Array;
  variance: Float64Array;
}

/** Empty statistics: mean 0, variance 1. */
export const createStatistics = (size: number): RunningStatistics => ({
  count: 1e-4, // as in the reference implementations: the first batch outweighs the initial values at once
  mean: new Float64Array(size),
  variance: new Float64Array(size).fill(1),
});

/** Statistics in a checkpoint. */
export interface SavedStatistics {
  count: number;
  mean: number[];
  variance: number[];
}

/** Statistics as plain data. */
export const saveStatistics = ({ count, mean, variance }: RunningStatistics): SavedStatistics => ({
  count,
  mean: [...mean],
  variance: [...variance],
});

/** Restores saved statistics. */
export function restoreStatistics(into: RunningStatistics, from: SavedStatistics): void {
  into.count = from.count;
  into.mean.set(from.mean);
  into.variance.set(from.variance);
}

/** Adds rows [n, size] to the statistics, without the last `left` numbers of each: they keep mean 0 and variance 1. */
export function updateStatistics(statistics: RunningStatistics, rows: ArrayLike<number>, left = 0): void {
  const { mean, variance } = statistics;
  const size = mean.length;
  const n = rows.length / size;
  const total = statistics.count + n;
  for (let j = 0; j < size - left; j++) {
    let batchMean = 0;
    for (let i = j; i < rows.length; i += size) batchMean += rows[i];
    batchMean /= n;
    let batchVariance = 0;
    for (let i = j; i < rows.length; i += size) batchVariance += (rows[i] - batchMean) ** 2;
    const delta = batchMean - mean[j];
    mean[j] += (delta * n) / total;
    variance[j] =
      (variance[j] * statistics.count + batchVariance + (delta * delta * statistics.count * n) / total) / total;
  }
  statistics.count = total;
}

/** Normalized observations and rewards are clipped to ±10, as in the reference implementations. */
export const LIMIT = 10;

/** (x − mean)/√variance, clipped, row by row. */
export function normalizeRows(
  { mean, variance }: { mean: ArrayLike<number>; variance: ArrayLike<number> },
  rows: Float32Array,
  out: Float32Array,
): void {
  const size = mean.length;
  for (let i = 0; i < rows.length; i++) {
    const j = i % size;
    const z = (rows[i] - mean[j]) / Math.sqrt(variance[j] + 1e-8);
    out[i] = Math.max(-LIMIT, Math.min(LIMIT, z));
  }
}

/** A function that normalizes rows [n, size] into new memory; without statistics, it returns them as they are. */
export const normalizer =
  (statistics: Parameters<typeof normalizeRows>[0] | undefined) =>
  (rows: Float32Array): Float32Array => {
    if (!statistics) return rows;
    const out = new Float32Array(rows.length);
    normalizeRows(statistics, rows, out);
    return out;
  };

/** Divides rewards by the deviation of the discounted return so far, without centering. */
interface RewardScale {
  statistics: RunningStatistics;
  /** [count]: the discounted return of each environment's episode so far. */
  returns: Float64Array;
}

/** An empty scale, for a number of environments. */
export const createRewardScale = (count: number): RewardScale => ({
  statistics: createStatistics(1),
  returns: new Float64Array(count),
});

/** Adds rewards [steps, count] to the scale, then scales them in place. `done`: the episode ended at that step. */
export function scaleRewards(
  scale: RewardScale,
  rewards: Float32Array,
  done: (index: number) => boolean,
  discount: number,
): void {
  const { statistics, returns } = scale;
  const count = returns.length;
  for (let start = 0; start < rewards.length; start += count) {
    for (let n = 0; n < count; n++) returns[n] = returns[n] * discount + rewards[start + n];
    updateStatistics(statistics, returns);
    for (let n = 0; n < count; n++) {
      const scaled = rewards[start + n] / Math.sqrt(statistics.variance[0] + 1e-8);
      rewards[start + n] = Math.max(-LIMIT, Math.min(LIMIT, scaled));
      if (done(start + n)) returns[n] = 0;
    }
  }
}
