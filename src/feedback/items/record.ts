/** Votes: an append-only record of what people said, and of it what counts. */
import type { Insertable } from 'kysely';
import { HeedError } from '../../error.ts';
import { type Answer, type Vote, voteSchema } from '../judgment.ts';
import type { Project } from '../project.ts';
import { atOnce, type Database, type Query } from '../store/database.ts';
import type { Tables } from '../store/schema.ts';
import { recount } from './assignment.ts';
import { checkAnswer, type Item, itemColumns, itemOf } from './items.ts';

export interface NewVote {
  /** Given by the sender: the same vote sent again is one vote. */
  id: string;
  item: string;
  vote: Vote;
  /** In which order the options were shown. */
  shown?: readonly number[];
  /** Milliseconds from the item's appearance to the answer. */
  duration?: number;
}

export interface Recorded {
  /** Position in the record. */
  seq: number;
  /** Answers the item has now. */
  answered: number;
  /** Of practice: what is right. */
  gold?: Answer;
}

/** Of what failed because of what the caller sent, not of us. */
export class VoteError extends HeedError {}

/**
 * Records a vote; once this resolves it is on the disk. A later vote of the same person on the same item changes their answer; the record keeps both. A
 * vote whose lease has expired counts all the same: nobody's work is lost.
 *
 * @throws VoteError for an item of another project, or an answer that does not fit it.
 */
export async function recordVote(
  { query: root, kind }: Database,
  { id: project, settings }: Project,
  person: string,
  { id, item, vote: given, shown, duration }: NewVote,
  now = Date.now(),
): Promise<Recorded> {
  const { success, data: vote } = voteSchema.safeParse(given);
  return atOnce(root, async (query) => {
    const row = await itemFor(query, kind, project, item);
    const asked = itemOf(row);
    const told = asked.practice && asked.gold ? { gold: asked.gold } : {};
    const skipped = success && vote.kind === 'skip';
    const answer = skipped ? vote : checkedVote(given, settings, asked);
    if (shown && !isOrder(shown, asked.content.options.length)) {
      throw new VoteError('"shown" is not an order of the options.');
    }
    const before = await query
      .selectFrom('answers')
      .select('kind')
      .where('item', '=', item)
      .where('person', '=', person)
      .executeTakeFirst();
    const said = { kind: skipped ? 'skip' : 'answer', answerJson: JSON.stringify(answer), created: now };
    const seq = await append(query, {
      ...said,
      id,
      project,
      item,
      person,
      shownJson: shown ? JSON.stringify(shown) : null,
      duration: duration ?? null,
    });
    if (seq === undefined) return { seq: (await seqOf(query, person, id, item))!, answered: row.answered, ...told };
    await query
      .insertInto('answers')
      .values({ ...said, item, person, project, vote: seq })
      .onConflict((conflict) => conflict.columns(['item', 'person']).doUpdateSet({ ...said, vote: seq }))
      .execute();
    // a lease becomes an answer; a skip gives the place to somebody else
    await query.deleteFrom('leases').where('item', '=', item).where('person', '=', person).execute();
    await tally(query, { project, person, gold: row.goldJson !== null, before: before?.kind, after: said.kind });
    return { seq, answered: await recount(query, [item]), ...told };
  });
}

/**
 * Takes a person's latest vote on an item back; the one before it, if any, counts again. The item is held for them once more.
 *
 * @throws VoteError where they have said nothing of it.
 */
export async function undoVote(
  { query: root, kind }: Database,
  { id: project, settings }: Project,
  person: string,
  { id, item }: { id: string; item: string },
  now = Date.now(),
): Promise<Recorded> {
  return root.transaction().execute(async (query) => {
    const { answered, goldJson } = await itemFor(query, kind, project, item);
    const known = await seqOf(query, person, id, item);
    if (known !== undefined) return { seq: known, answered };
    const standing = await standingVotes(query, item, person);
    const latest = standing.pop();
    if (!latest) throw new VoteError('There is nothing to take back: no answer of yours counts for this item.');
    const answerJson = JSON.stringify({ vote: latest.seq });
    const undone = {
      id,
      project,
      item,
      person,
      kind: 'undo',
      answerJson,
      shownJson: null,
      duration: null,
      created: now,
    };
    const seq = await append(query, undone);
    if (seq === undefined) return { seq: (await seqOf(query, person, id, item))!, answered };
    const earlier = standing.at(-1);
    if (earlier) {
      await query
        .updateTable('answers')
        .set({ vote: earlier.seq, kind: earlier.kind, answerJson: earlier.answerJson, created: earlier.created })
        .where('item', '=', item)
        .where('person', '=', person)
        .execute();
    } else {
      await query.deleteFrom('answers').where('item', '=', item).where('person', '=', person).execute();
      await query
        .insertInto('leases')
        .values({ item, person, project, expires: now + 1000 * settings.leaseSeconds })
        .onConflict((conflict) => conflict.columns(['item', 'person']).doNothing())
        .execute();
    }
    await tally(query, { project, person, gold: goldJson !== null, before: latest.kind, after: earlier?.kind });
    return { seq, answered: await recount(query, [item]) };
  });
}

/** The item, for this transaction alone: who else votes on it waits. @throws VoteError where the project has no such item. */
const itemFor = (query: Query, kind: Database['kind'], project: string, item: string) =>
  query
    .selectFrom('items')
    .select([...itemColumns, 'answered'])
    .where('id', '=', item)
    .where('project', '=', project)
    .$if(kind === 'postgres', (select) => select.forNoKeyUpdate())
    .executeTakeFirstOrThrow(
      () => new VoteError('There is no such item in this project.', { hint: 'Fetch the next item.' }),
    );

/** Of a vote that is in the record already. @throws VoteError where it is another person's, or of another item. */
async function seqOf(query: Query, person: string, id: string, item: string): Promise<number | undefined> {
  const known = await query
    .selectFrom('votes')
    .select(['seq', 'person', 'item'])
    .where('id', '=', id)
    .executeTakeFirst();
  if (known && (known.person !== person || known.item !== item)) {
    throw new VoteError('Another vote has this id.', { hint: 'Draw a new id for each vote.' });
  }
  return known?.seq;
}

/** Adds to the record, under the guidelines of now; undefined where a vote has this id already. */
async function append(
  query: Query,
  vote: Omit<Insertable<Tables['votes']>, 'seq' | 'guidelines'>,
): Promise<number | undefined> {
  const added = await query
    .insertInto('votes')
    .values((values) => ({
      ...vote,
      guidelines: values
        .selectFrom('guidelines')
        .select((select) => select.fn.max('version').as('version'))
        .where('project', '=', vote.project),
    }))
    .onConflict((conflict) => conflict.column('id').doNothing())
    .returning('seq')
    .executeTakeFirst();
  return added?.seq;
}

/** Counts on, where somebody's answer to an item is another than before, or is there no more. */
async function tally(
  query: Query,
  {
    project,
    person,
    gold,
    ...kinds
  }: { project: string; person: string; gold: boolean; before?: string; after?: string },
): Promise<void> {
  const label = (kind?: string) => Number(kind === 'answer' && !gold);
  const given = Number(kinds.after !== undefined) - Number(kinds.before !== undefined);
  const labels = label(kinds.after) - label(kinds.before);
  await query
    .insertInto('tallies')
    .values({ project, person, given, labels })
    .onConflict((conflict) =>
      conflict.columns(['project', 'person']).doUpdateSet((set) => ({
        given: set('tallies.given', '+', given),
        labels: set('tallies.labels', '+', labels),
      })),
    )
    .execute();
}

/** A person's votes on an item that were not taken back, in order. */
async function standingVotes(query: Query, item: string, person: string) {
  const all = await query
    .selectFrom('votes')
    .select(['seq', 'kind', 'answerJson', 'created'])
    .where('item', '=', item)
    .where('person', '=', person)
    .orderBy('seq')
    .execute();
  const standing: typeof all = [];
  for (const vote of all) {
    if (vote.kind === 'undo') standing.pop();
    else standing.push(vote);
  }
  return standing;
}

/** @throws VoteError where the project does not offer such an answer. */
function checkedVote(given: unknown, settings: Project['settings'], { content }: Item): Answer {
  let answer: Answer;
  try {
    answer = checkAnswer(given, settings.kind, content);
  } catch (error) {
    throw error instanceof HeedError ? new VoteError(error.message, { hint: error.hint, cause: error }) : error;
  }
  const offered = { tie: settings.tie, 'both-bad': settings.bothBad, unknown: settings.unknown };
  if (answer.kind === 'pair' && answer.choice in offered && !offered[answer.choice as keyof typeof offered]) {
    throw new VoteError(`This project does not offer the choice "${answer.choice}".`);
  }
  if (settings.reason === 'required' && !answer.reason?.trim()) {
    throw new VoteError('This project asks for a reason with each answer.', { hint: 'Say why in a few words.' });
  }
  const rated = answer.kind === 'rating' ? answer.ratings : answer.aspects;
  for (const [name, value] of Object.entries(rated ?? {})) {
    const aspect = settings.aspects.find((one) => one.name === name);
    if (!aspect || value > aspect.scale) {
      const most = aspect ? `expected 1 to ${aspect.scale}, got ${value}` : 'the project has no such aspect';
      throw new VoteError(`"${name}": ${most}.`);
    }
  }
  if (answer.kind === 'rating') {
    const missing = settings.aspects.find(({ name }) => !Object.hasOwn(answer.ratings, name));
    if (missing) throw new VoteError(`"${missing.name}" is not rated.`);
  }
  return answer;
}

const isOrder = (shown: readonly number[], count: number): boolean =>
  shown.length === count &&
  new Set(shown).size === count &&
  shown.every((i) => Number.isInteger(i) && i >= 0 && i < count);
