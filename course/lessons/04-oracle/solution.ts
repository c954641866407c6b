export type Preference = readonly [first: number, second: number];

export interface Faults {
  rationality?: number;
  mistake?: number;
  discount?: number;
  tieWithin?: number;
}

export function judge(
  first: readonly number[],
  second: readonly number[],
  { rationality, mistake = 0, discount = 1, tieWithin = 0 }: Faults,
  draw: () => number,
): Preference {
  // each further step makes all earlier ones weigh less
  const worth = (rewards: readonly number[]) => rewards.reduce((sum, reward) => discount * sum + reward, 0);
  const difference = worth(first) - worth(second);
  if (Math.abs(difference) <= tieWithin) return [0.5, 0.5];
  const better = difference > 0;
  const choosesFirst = rationality === undefined ? better : draw() < 1 / (1 + Math.exp(-rationality * difference));
  const mistaken = draw() < mistake;
  return choosesFirst !== mistaken ? [1, 0] : [0, 1];
}
