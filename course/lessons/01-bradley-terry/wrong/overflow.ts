// says: probability(1000, 0) gives NaN: a finite number is expected.
export const probability = (first: number, second: number): number =>
  Math.exp(first) / (Math.exp(first) + Math.exp(second));

export const segmentProbability = (first: readonly number[], second: readonly number[]): number =>
  probability(
    first.reduce((a, b) => a + b, 0),
    second.reduce((a, b) => a + b, 0),
  );
