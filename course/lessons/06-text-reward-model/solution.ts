export type Weights = Readonly<Record<string, number>>;

export const words = (text: string): string[] => text.toLowerCase().match(/[a-z']+/g) ?? [];

export function score(weights: Weights, text: string): number {
  return words(text).reduce((sum, word) => sum + (weights[word] ?? 0), 0);
}

/**
 * The loss falls fastest along (1 − P) · (counts of chosen − counts of rejected), with P the probability that the model
 * gives to the choice. A word that both contain equally often cancels out.
 */
export function learn(weights: Weights, chosen: string, rejected: string, rate: number): Weights {
  const margin = score(weights, chosen) - score(weights, rejected);
  const surprise = 1 / (1 + Math.exp(margin)); // 1 − P
  const next: Record<string, number> = { ...weights };
  for (const word of words(chosen)) next[word] = (next[word] ?? 0) + rate * surprise;
  for (const word of words(rejected)) next[word] = (next[word] ?? 0) - rate * surprise;
  return next;
}
