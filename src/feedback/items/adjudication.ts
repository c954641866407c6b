/** Adjudication: where annotators disagree, a reviewer's judgment becomes the item's, and the item is closed. */
import { z } from 'zod';
import { judgmentSchema } from '../judgment.ts';
import type { Project } from '../project.ts';
import { note } from '../store/audit.ts';
import type { Database } from '../store/database.ts';
import { itemColumns, itemFromRow, itemSchema } from './items.ts';
import { type NewJudgment, type Receipt, recordJudgment } from './record.ts';

/** Checks a `Disagreement`. */
export const disagreementSchema = z.object({
  item: itemSchema,
  answers: z
    .array(z.object({ person: z.string(), name: z.string(), answer: judgmentSchema }))
    .describe('each annotator’s id, name and judgment'),
  confidence: z.number().describe('probability of the most likely judgment'),
});
/** An item that annotators disagree on, with their judgments. */
export type Disagreement = z.output<typeof disagreementSchema>;

/**
 * The first `most` of some disagreements (as `qualityOf` found them) that no reviewer has decided since, with the items
 * and their judgments.
 */
export async function disagreements(
  { query }: Database,
  candidates: readonly { item: string; confidence: number }[],
  most: number,
): Promise<Disagreement[]> {
  if (candidates.length === 0) return [];
  const undecided = await query
    .selectFrom('items')
    .select('id')
    .where(
      'id',
      'in',
      candidates.map(({ item }) => item),
    )
    .where('decidedBy', 'is', null)
    .execute();
  const open = new Set(undecided.map(({ id }) => id));
  const first = candidates.filter(({ item }) => open.has(item)).slice(0, most);
  if (first.length === 0) return [];
  const ids = first.map(({ item }) => item);
  const rows = await query.selectFrom('items').select(itemColumns).where('id', 'in', ids).execute();
  const items = new Map(rows.map((row) => [row.id, itemFromRow(row)]));
  const judgments = await query
    .selectFrom('answers')
    .innerJoin('people', 'people.id', 'answers.person')
    .select(['answers.item', 'answers.person', 'people.name', 'answers.answerJson'])
    .where('answers.item', 'in', ids)
    .where('answers.kind', '=', 'answer')
    .orderBy('answers.vote')
    .execute();
  return first.map(({ item, confidence }) => ({
    item: items.get(item)!,
    confidence,
    answers: judgments
      .filter((one) => one.item === item)
      .map(({ person, name, answerJson }) => ({ person, name, answer: JSON.parse(answerJson) })),
  }));
}

/**
 * Records a reviewer's judgment as the one that counts for an item, and closes the item.
 *
 * @throws JudgmentError as `recordJudgment` does.
 */
export async function adjudicate(
  database: Database,
  project: Project,
  person: string,
  judgment: NewJudgment,
): Promise<Receipt> {
  const receipt = await recordJudgment(database, project, person, judgment);
  await database.query.transaction().execute(async (query) => {
    await query.updateTable('items').set({ decidedBy: person, closed: 1 }).where('id', '=', judgment.item).execute();
    await note(query, { project: project.id, person, kind: 'item decided', detail: { item: judgment.item } });
  });
  return receipt;
}
