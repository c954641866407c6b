export interface Statistics {
  count: number;
  mean: number;
  squares: number;
}

export const empty: Statistics = { count: 0, mean: 0, squares: 0 };

/** Welford (1962): the distance from the old mean times the distance from the new one is what the squares grow by. */
export function update({ count, mean, squares }: Statistics, reward: number): Statistics {
  const next = mean + (reward - mean) / (count + 1);
  return { count: count + 1, mean: next, squares: squares + (reward - mean) * (reward - next) };
}

export function deviation({ count, squares }: Statistics): number {
  return count === 0 ? 0 : Math.sqrt(squares / count);
}

export function normalize(statistics: Statistics, reward: number): number {
  const spread = deviation(statistics);
  return spread === 0 ? 0 : (reward - statistics.mean) / spread;
}
