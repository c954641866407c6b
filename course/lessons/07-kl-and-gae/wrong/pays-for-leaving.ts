// says: A token that is likelier than under the reference costs: −0.5 · 1: yours is 0.5 at index 0.
export { advantages } from '../solution.ts';

export function tokenRewards(
  score: number,
  logProbs: readonly number[],
  reference: readonly number[],
  beta: number,
): number[] {
  const rewards = logProbs.map((logProb, t) => beta * (logProb - reference[t]));
  rewards[rewards.length - 1] += score;
  return rewards;
}
