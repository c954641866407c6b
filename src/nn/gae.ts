/** Generalized advantage estimation (Schulman et al. 2016, equation 16). */

/** A rollout: rewards and ends, and the values that a critic predicted. */
export interface AdvantageInput {
  /** Number of steps. */
  steps: number;
  /** Environments (or sequences) side by side; arrays are [steps, count], time outermost. */
  count: number;
  /** [steps, count]: the reward of each step. */
  rewards: ArrayLike<number>;
  /** [steps + 1, count]: the values of the states before each step, and after the last. */
  values: ArrayLike<number>;
  /** [steps, count], 0 or 1: the task ended at this step. Nothing follows: its next value is 0. */
  terminated?: ArrayLike<number>;
  /** [steps, count], 0 or 1: the time limit cut the episode at this step. Its next value is `finalValues`. */
  truncated?: ArrayLike<number>;
  /** [steps, count]: the values of the states in which episodes were cut. Needed with `truncated`. */
  finalValues?: ArrayLike<number>;
  /** Discount factor γ. */
  discount: number;
  /** λ: 0 trusts the critic (one step), 1 the rewards (the whole return). */
  lambda: number;
}

/** Writes advantages, and returns (advantage + value), of [steps, count] each. */
export function advantages(input: AdvantageInput, advantage: Float32Array, returns: Float32Array): void {
  const { steps, count, rewards, values, terminated, truncated, finalValues, discount, lambda } = input;
  for (let n = 0; n < count; n++) {
    let running = 0;
    for (let t = steps - 1; t >= 0; t--) {
      const i = t * count + n;
      let next = values[i + count];
      if (terminated?.[i]) {
        next = 0;
        running = 0;
      } else if (truncated?.[i]) {
        next = finalValues![i];
        running = 0;
      }
      running = rewards[i] + discount * next - values[i] + discount * lambda * running;
      advantage[i] = running;
      returns[i] = running + values[i];
    }
  }
}
