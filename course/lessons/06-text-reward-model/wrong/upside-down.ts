// says: From weights of 0, with a rate of 1, the word of the chosen text gets 0.5: yours is -0.5.
import { score, words } from '../solution.ts';

export { score };

export function learn(weights: Readonly<Record<string, number>>, chosen: string, rejected: string, rate: number) {
  const surprise = 1 / (1 + Math.exp(score(weights, chosen) - score(weights, rejected)));
  const next: Record<string, number> = { ...weights };
  for (const word of words(chosen)) next[word] = (next[word] ?? 0) - rate * surprise;
  for (const word of words(rejected)) next[word] = (next[word] ?? 0) + rate * surprise;
  return next;
}
