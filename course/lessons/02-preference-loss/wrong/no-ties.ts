// says: A tie costs half of each choice: yours is
export const logSigmoid = (x: number): number => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

export const loss = (first: number, second: number, preference: readonly [number, number]): number =>
  preference[0] === 1 ? -logSigmoid(first - second) : -logSigmoid(second - first);
