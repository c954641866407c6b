export type Preference = readonly [first: number, second: number];

/** −log(1 + e⁻ˣ), with the exponential of a number that is never positive. */
export function logSigmoid(x: number): number {
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
}

/** 1 − P is the same formula with the options exchanged: 1 − σ(x) = σ(−x). */
export function loss(first: number, second: number, [p, q]: Preference, errorRate = 0): number {
  return -p * logProbability(first - second, errorRate) - q * logProbability(second - first, errorRate);
}

function logProbability(difference: number, errorRate: number): number {
  if (errorRate === 0) return logSigmoid(difference);
  return Math.log((1 - errorRate) * Math.exp(logSigmoid(difference)) + errorRate / 2);
}
