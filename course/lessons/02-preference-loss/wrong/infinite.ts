// says: logSigmoid(-1000) gives -Infinity: a finite number is expected.
export const logSigmoid = (x: number): number => Math.log(1 / (1 + Math.exp(-x)));

export const loss = (first: number, second: number, [p, q]: readonly [number, number]): number =>
  -p * logSigmoid(first - second) - q * logSigmoid(second - first);
