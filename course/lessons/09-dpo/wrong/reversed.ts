// says: With the chosen a nat likelier than before, the loss is −log σ(1) = 0.313: yours is 1.313.
import type { Pair } from '../exercise.ts';
import { implicitReward } from '../solution.ts';

export { implicitReward };

const margin = ({ chosen, rejected, referenceChosen, referenceRejected }: Pair, beta: number) =>
  implicitReward(rejected, referenceRejected, beta) - implicitReward(chosen, referenceChosen, beta);

export const dpoLoss = (pair: Pair, beta: number): number => {
  const x = margin(pair, beta);
  return Math.max(-x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
};

export const dpoSlope = (pair: Pair, beta: number): number => -beta / (1 + Math.exp(margin(pair, beta)));
