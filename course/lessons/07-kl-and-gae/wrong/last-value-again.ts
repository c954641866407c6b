// says: After the last step nothing follows: its advantage is r − V = 1 − 0.4: yours is 0.96 at index 0.
export { tokenRewards } from '../solution.ts';

export function advantages(
  rewards: readonly number[],
  values: readonly number[],
  discount: number,
  lambda: number,
): number[] {
  const found = rewards.map(() => 0);
  let running = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    running = rewards[t] + discount * (values[t + 1] ?? values[t]) - values[t] + discount * lambda * running;
    found[t] = running;
  }
  return found;
}
