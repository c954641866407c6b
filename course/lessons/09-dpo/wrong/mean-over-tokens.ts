// says: Three tokens that are a nat likelier each add up to 3 nats, so 1.5: yours is 0.5.
import { dpoLoss, dpoSlope } from '../solution.ts';

export { dpoLoss, dpoSlope };

const mean = (numbers: readonly number[]) => numbers.reduce((total, x) => total + x, 0) / numbers.length;

export const implicitReward = (logProbs: readonly number[], reference: readonly number[], beta: number): number =>
  beta * (mean(logProbs) - mean(reference));
