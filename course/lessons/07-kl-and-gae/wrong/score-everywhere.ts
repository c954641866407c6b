// says: Where the policy is the reference, the rewards are 0, 0, 2: yours is 2 at index 0.
export { advantages } from '../solution.ts';

export const tokenRewards = (
  score: number,
  logProbs: readonly number[],
  reference: readonly number[],
  beta: number,
): number[] => logProbs.map((logProb, t) => score - beta * (logProb - reference[t]));
