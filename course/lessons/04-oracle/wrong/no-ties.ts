// says: Equal returns are a tie, [0.5, 0.5]: yours is 0 at index 0.
export function judge(first: readonly number[], second: readonly number[]): readonly [number, number] {
  const sum = (rewards: readonly number[]) => rewards.reduce((a, b) => a + b, 0);
  return sum(first) > sum(second) ? [1, 0] : [0, 1];
}
