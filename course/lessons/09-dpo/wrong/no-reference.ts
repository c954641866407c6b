// says: A completion as likely as under the reference has a reward of 0: yours is -1.5.
import type { Pair } from '../exercise.ts';

const sum = (numbers: readonly number[]) => numbers.reduce((total, x) => total + x, 0);

export const implicitReward = (logProbs: readonly number[], _: readonly number[], beta: number): number =>
  beta * sum(logProbs);

export const dpoLoss = ({ chosen, rejected }: Pair, beta: number): number =>
  Math.log1p(Math.exp(beta * (sum(rejected) - sum(chosen))));

export const dpoSlope = ({ chosen, rejected }: Pair, beta: number): number =>
  -beta / (1 + Math.exp(beta * (sum(chosen) - sum(rejected))));
