/** What a model suggests, with left and right as the reader sees them. */
import type { AssignedItem } from '../page/api.ts';
import { placeName } from '../page/item.tsx';
import { describeJudgment } from './words.ts';

/** Says in a sentence which judgment a model suggests, and how sure it is; or which option it prefers, and by how much. */
export function suggestionSentence(
  { by, scores, judgment, score }: NonNullable<AssignedItem['suggestion']>,
  shown: readonly number[],
): string {
  if (judgment || !scores) {
    const sure = score === undefined ? '' : ` (score ${score.toPrecision(2)})`;
    return judgment ? `The model ${by} suggests: ${describeJudgment(judgment, shown)}${sure}.` : '';
  }
  const order = shown.map((option, place) => ({ place, score: scores[option] })).sort((a, b) => b.score - a.score);
  const [best, second] = order;
  const lead = best.score - second.score;
  if (lead === 0) return `The reward model ${by} prefers neither.`;
  return `The reward model ${by} prefers ${placeName(best.place, shown.length).toLowerCase()}, by ${lead.toPrecision(2)}.`;
}
