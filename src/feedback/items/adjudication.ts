/** Deciding where people disagree: a reviewer's answer becomes the item's, and nobody else is asked. */
import type { Answer } from '../judgment.ts';
import type { Project } from '../project.ts';
import type { Quality } from '../quality/quality.ts';
import { note } from '../store/audit.ts';
import type { Database } from '../store/database.ts';
import { type Item, itemColumns, itemOf } from './items.ts';
import { type NewVote, type Recorded, recordVote } from './record.ts';

export interface Disagreement {
  item: Item;
  answers: { person: string; name: string; answer: Answer }[];
  /** Of the most probable answer. */
  confidence: number;
}

/** Items on which people disagree, with who said what: the first `most` that nobody has decided since `qualityOf` found them. */
export async function disagreements(
  { query }: Database,
  found: Quality['disagreements'],
  most: number,
): Promise<Disagreement[]> {
  if (found.length === 0) return [];
  const undecided = await query
    .selectFrom('items')
    .select('id')
    .where(
      'id',
      'in',
      found.map(({ item }) => item),
    )
    .where('decidedBy', 'is', null)
    .execute();
  const open = new Set(undecided.map(({ id }) => id));
  const shown = found.filter(({ item }) => open.has(item)).slice(0, most);
  if (shown.length === 0) return [];
  const ids = shown.map(({ item }) => item);
  const rows = await query.selectFrom('items').select(itemColumns).where('id', 'in', ids).execute();
  const items = new Map(rows.map((row) => [row.id, itemOf(row)]));
  const given = await query
    .selectFrom('answers')
    .innerJoin('people', 'people.id', 'answers.person')
    .select(['answers.item', 'answers.person', 'people.name', 'answers.answerJson'])
    .where('answers.item', 'in', ids)
    .where('answers.kind', '=', 'answer')
    .orderBy('answers.vote')
    .execute();
  return shown.map(({ item, confidence }) => ({
    item: items.get(item)!,
    confidence,
    answers: given
      .filter((one) => one.item === item)
      .map(({ person, name, answerJson }) => ({ person, name, answer: JSON.parse(answerJson) })),
  }));
}

/** @throws VoteError as `recordVote` does. */
export async function adjudicate(
  database: Database,
  project: Project,
  person: string,
  vote: NewVote,
): Promise<Recorded> {
  const recorded = await recordVote(database, project, person, vote);
  await database.query.transaction().execute(async (query) => {
    await query.updateTable('items').set({ decidedBy: person, closed: 1 }).where('id', '=', vote.item).execute();
    await note(query, { project: project.id, person, kind: 'item decided', detail: { item: vote.item } });
  });
  return recorded;
}
