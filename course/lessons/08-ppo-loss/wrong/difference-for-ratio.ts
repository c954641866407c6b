// says: Where nothing has changed, the ratio is 1 and the surrogate is the advantage: yours is 0.
import type { Sample } from '../exercise.ts';

export { ppoLoss, slope } from '../solution.ts';

export function surrogate({ logProb, oldLogProb, advantage }: Sample, epsilon: number): number {
  const ratio = logProb - oldLogProb;
  return Math.min(ratio * advantage, Math.max(1 - epsilon, Math.min(1 + epsilon, ratio)) * advantage);
}
