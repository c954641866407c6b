// says: With an error rate of 0.1, P is never below 0.05, so no choice costs more than 3.00: yours is 2.303.
export const logSigmoid = (x: number): number => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

export function loss(first: number, second: number, [p, q]: readonly [number, number], errorRate = 0): number {
  if (errorRate === 0) return -p * logSigmoid(first - second) - q * logSigmoid(second - first);
  const sigmoid = Math.exp(logSigmoid(first - second));
  const probability = (1 - errorRate) * sigmoid + errorRate * (1 - sigmoid);
  return -p * Math.log(probability) - q * Math.log(1 - probability);
}
