export interface Pair {
  chosen: readonly number[];
  rejected: readonly number[];
  referenceChosen: readonly number[];
  referenceRejected: readonly number[];
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, x) => total + x, 0);

export function implicitReward(logProbs: readonly number[], reference: readonly number[], beta: number): number {
  return beta * (sum(logProbs) - sum(reference));
}

const margin = ({ chosen, rejected, referenceChosen, referenceRejected }: Pair, beta: number) =>
  implicitReward(chosen, referenceChosen, beta) - implicitReward(rejected, referenceRejected, beta);

/** Lesson 2's loss, with rewards that the policy itself gives. */
export function dpoLoss(pair: Pair, beta: number): number {
  const x = margin(pair, beta);
  return Math.max(-x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** The surprise 1 − P, as in lesson 6, times β. */
export function dpoSlope(pair: Pair, beta: number): number {
  return -beta / (1 + Math.exp(margin(pair, beta)));
}
