/** What is known of the rewards so far. Plain data: `update` returns a new record and changes none. */
export interface Statistics {
  /** How many rewards there were. */
  count: number;
  /** Their mean. */
  mean: number;
  /** The sum of the squares of their distances from the mean. */
  squares: number;
}

/** Before the first reward. */
export const empty: Statistics = { count: 0, mean: 0, squares: 0 };

/** The statistics after one more reward, in one pass (Welford's method): no reward is kept. */
export function update(statistics: Statistics, reward: number): Statistics {
  throw new Error('write me');
}

/** The standard deviation √(squares / count); 0 before the first reward. */
export function deviation(statistics: Statistics): number {
  throw new Error('write me');
}

/** The reward less the mean, divided by the deviation; 0 where the deviation is 0. */
export function normalize(statistics: Statistics, reward: number): number {
  throw new Error('write me');
}
