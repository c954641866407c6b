export function tokenRewards(
  score: number,
  logProbs: readonly number[],
  reference: readonly number[],
  beta: number,
): number[] {
  const rewards = logProbs.map((logProb, t) => -beta * (logProb - reference[t]));
  rewards[rewards.length - 1] += score;
  return rewards;
}

/** Backward in time, each advantage is its own error plus a part of the next advantage. */
export function advantages(
  rewards: readonly number[],
  values: readonly number[],
  discount: number,
  lambda: number,
): number[] {
  const found = rewards.map(() => 0);
  let running = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    const next = t + 1 < values.length ? values[t + 1] : 0;
    const error = rewards[t] + discount * next - values[t];
    running = error + discount * lambda * running;
    found[t] = running;
  }
  return found;
}
