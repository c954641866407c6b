/** Generalized advantage estimation (Schulman et al. 2016, equation 16). */

export interface AdvantageInput {
  /** Steps in time. */
  steps: number;
  /** Environments (or sequences) side by side; arrays are [steps, count], time outermost. */
  count: number;
  rewards: ArrayLike<number>;
  /** [steps + 1, count]: the last row is the value of where each stands after the last step. */
  values: ArrayLike<number>;
  /** The task ended at this step: nothing follows, its next value is 0. */
  terminated?: ArrayLike<number>;
  /** The time limit cut the episode at this step: its next value is `finalValues`, and the sum stops. */
  truncated?: ArrayLike<number>;
  finalValues?: ArrayLike<number>;
  discount: number;
  lambda: number;
}

/** Advantages and returns (advantage + value), [steps, count] each, written into the given arrays. */
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
