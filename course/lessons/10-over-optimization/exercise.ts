/** A point of a curve of over-optimization. */
export interface Point {
  /** Distance of the policy from the base, in nats. */
  kl: number;
  /** Mean score by the reward model that the policy follows. */
  proxy: number;
  /** Mean of what readers really like. */
  gold: number;
}

/**
 * The policy that follows a score with this strength: probabilities in proportion to base · exp(strength · score).
 * This is lesson 9's best policy, with strength 1/β. Scores may be large: do not let the exponential overflow.
 */
export function tilt(base: readonly number[], score: readonly number[], strength: number): number[] {
  throw new Error('write me');
}

/** KL(policy ‖ base) = Σ p log(p / b) in nats. Where p is 0, the term is 0. */
export function kl(policy: readonly number[], base: readonly number[]): number {
  throw new Error('write me');
}

/** A point for each strength: the policy that follows `proxy`, and what it gets by proxy and by gold. */
export function curve(
  base: readonly number[],
  proxy: readonly number[],
  gold: readonly number[],
  strengths: readonly number[],
): Point[] {
  throw new Error('write me');
}

/** The turn: the point at which gold is greatest. From there on, following the proxy does harm. */
export function turn(points: readonly Point[]): Point {
  throw new Error('write me');
}

/** Moves the turn: the score that an ensemble agrees on at least, which is the lowest of its members for each text. */
export function pessimistic(members: readonly (readonly number[])[]): number[] {
  throw new Error('write me');
}
