/** The judgment that a model suggests; the page needs it too, so nothing of the store is imported. */
import type { ItemKind, Judgment } from '../judgment.ts';
import type { Suggestion } from './items.ts';

/** The judgment that a suggestion amounts to for an item of a kind; undefined if it prefers nothing. */
export function suggestedJudgment({ judgment, scores }: Suggestion, kind: ItemKind): Judgment | undefined {
  if (judgment || !scores) return judgment;
  if (kind === 'ranking') return { kind, ranks: scores.map((x) => 1 + scores.filter((other) => other > x).length) };
  if (kind !== 'pair' || scores[0] === scores[1]) return undefined;
  return { kind, choice: scores[0] > scores[1] ? 'first' : 'second' };
}
