/** Deciding where people disagree: a reviewer's answer becomes the item's, and nobody else is asked. */
import type { Answer } from './answer.ts';
import type { Database } from './database.ts';
import { type Item, itemColumns, itemOf } from './items.ts';
import type { Project } from './project.ts';
import { givenAnswers, qualityOf } from './quality.ts';
import { note } from './records.ts';
import { type NewVote, type Recorded, recordVote } from './votes.ts';

export interface Disagreement {
  item: Item;
  answers: { person: string; name: string; answer: Answer }[];
  /** Of the most probable answer. */
  confidence: number;
}

/** Items on which people disagree, those that are the least clear first. */
export async function disagreements(database: Database, { id: project }: Project, limit = 50): Promise<Disagreement[]> {
  const { query } = database;
  const given = await givenAnswers(database, project);
  const found = qualityOf(given).disagreements.slice(0, limit);
  if (found.length === 0) return [];
  const ids = found.map(({ item }) => item);
  const rows = await query.selectFrom('items').select(itemColumns).where('id', 'in', ids).execute();
  const items = new Map(rows.map((row) => [row.id, itemOf(row)]));
  const people = new Map(
    (await query.selectFrom('people').select(['id', 'name']).execute()).map((one) => [one.id, one.name]),
  );
  return found.map(({ item, confidence }) => ({
    item: items.get(item)!,
    confidence,
    answers: given
      .filter((one) => one.item === item)
      .map(({ person, answer }) => ({ person, name: people.get(person)!, answer })),
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
