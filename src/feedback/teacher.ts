/** People as a teacher: questions become items of a project, and what is said of them comes back as it is said. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Choice, Question, Answer as Said, Standing, Teacher } from '../preference/index.ts';
import { addItems, keyOf } from './items/items.ts';
import { type Content, choiceOf, contentSchema, voteSchema } from './judgment.ts';
import type { Project } from './project.ts';
import type { Database } from './store/database.ts';

export interface PeopleOptions<Option> {
  /** What is shown of a question, its two options in their order. */
  toContent(question: Question<Option>): Content;
  /** Of the items: who asks. */
  source?: string;
  /** Tells one asker's questions from another's of the same ids; the same when it asks again. */
  asker?: string;
  /** Milliseconds between looks at the store. */
  every?: number;
  /** Milliseconds that an answer has to stand before it counts: until then it can be taken back. */
  settle?: number;
}

export interface PeopleTeacher<Option> extends Teacher<Option> {
  /** Takes back what nobody has answered: it is asked no more. */
  withdraw(): Promise<void>;
}

/**
 * Items that are there already stay as they are, so that questions may be put again after a resumption; what was said of them meanwhile
 * comes at once. A question is answered when as many people as the project wants have, by the mean of their choices,
 * or when a reviewer has decided. Whoever skips it skips it for all.
 */
export function createPeopleTeacher<Option>(
  database: Database,
  project: Project,
  { toContent, source, asker, every = 250, settle = 2000 }: PeopleOptions<Option>,
): PeopleTeacher<Option> {
  const { query } = database;
  const unanswered = new Set<string>();
  /** The item of each question, as far as it is known. */
  const items = new Map<string, { item: string; turned: boolean }>();
  /** What `changed` has seen: the newest vote, of how many answers learned. */
  let seen = '';
  const metadataOf = (question: string) => ({ question, ...(asker !== undefined && { asker }) });

  /** Adds the questions, and finds the item of each; `turned` where the item has the options the other way round. */
  async function put(questions: readonly Question<Option>[]) {
    const contents = questions.map((question) => contentSchema.parse(toContent(question)));
    await addItems(
      database,
      project,
      contents.map((content, i) => ({ content, source, metadata: metadataOf(questions[i].id) })),
    );
    const asked = new Map<string, { id: string; turned: boolean }[]>();
    for (const [i, content] of contents.entries()) {
      const { id: item, contentJson } = await query
        .selectFrom('items')
        .select(['id', 'contentJson'])
        .where('project', '=', project.id)
        .where('key', '=', keyOf(content))
        .executeTakeFirstOrThrow();
      const [first] = (JSON.parse(contentJson) as Content).options;
      const turned = JSON.stringify(first) !== JSON.stringify(content.options[0]);
      asked.set(item, [...(asked.get(item) ?? []), { id: questions[i].id, turned }]);
      items.set(questions[i].id, { item, turned });
    }
    return asked;
  }

  /** What is said of items, of those on which enough was said. */
  async function said(items: readonly string[]): Promise<Map<string, Choice | 'skip'>> {
    const rows = await query
      .selectFrom('answers')
      .innerJoin('items', 'items.id', 'answers.item')
      .select(['answers.item', 'answers.person', 'answers.answerJson', 'items.decidedBy'])
      .where('answers.item', 'in', items)
      .execute();
    const unsettled = await unsettledItems();
    const found = new Map<string, Choice | 'skip'>();
    for (const item of new Set(rows.map(({ item }) => item))) {
      if (unsettled.has(item)) continue;
      const given = rows.filter((row) => row.item === item);
      const decided = given.filter(({ person, decidedBy }) => person === decidedBy);
      const votes = (decided.length > 0 ? decided : given).map(({ answerJson }) =>
        voteSchema.parse(JSON.parse(answerJson)),
      );
      if (votes.some(({ kind }) => kind === 'skip')) found.set(item, 'skip');
      else if (decided.length > 0 || given.length >= project.settings.overlap)
        found.set(item, meanOf(votes.map((vote) => choiceOf(vote as Extract<typeof vote, { kind: 'pair' }>))));
    }
    return found;
  }

  /** Of which somebody has said or taken back something a moment ago. */
  async function unsettledItems(): Promise<Set<string>> {
    const latest = await query
      .selectFrom('votes')
      .select(['item', 'created'])
      .where('project', '=', project.id)
      .orderBy('seq', 'desc')
      .limit(LATEST)
      .execute();
    const since = Date.now() - settle;
    return new Set(latest.filter(({ created }) => created > since).map(({ item }) => item));
  }

  /** Finds the items of questions that an earlier process put. */
  async function recall(questions: readonly string[]): Promise<void> {
    const wanted = new Map(questions.map((id) => [JSON.stringify(metadataOf(id)), id]));
    const found = await query
      .selectFrom('items')
      .select(['id', 'metadataJson'])
      .where('project', '=', project.id)
      .where('metadataJson', 'in', [...wanted.keys()])
      .execute();
    for (const { id, metadataJson } of found) items.set(wanted.get(metadataJson!)!, { item: id, turned: false });
  }

  /** Nobody is asked about these any more. */
  async function close(items: readonly string[]): Promise<void> {
    if (items.length > 0) await query.updateTable('items').set({ closed: 1 }).where('id', 'in', items).execute();
  }

  return {
    name: 'human',
    later: true,
    async *answer(questions, signal): AsyncGenerator<Said> {
      const asked = await put(questions);
      for (const item of asked.keys()) unanswered.add(item);
      while (asked.size > 0 && !signal?.aborted) {
        for (const [item, choice] of await said([...asked.keys()])) {
          if (choice === 'skip') await close([item]);
          unanswered.delete(item);
          for (const { id, turned } of asked.get(item)!)
            yield { id, choice: turned ? turn(choice) : choice, time: Date.now() };
          asked.delete(item);
        }
        // whoever stops listening wants no error
        if (asked.size > 0) await pause(every, undefined, { signal }).catch(() => {});
      }
    },
    async changed(learned) {
      const { newest } = await query
        .selectFrom('votes')
        .select((select) => select.fn.max('seq').as('newest'))
        .where('project', '=', project.id)
        .executeTakeFirstOrThrow();
      const now = `${newest} ${learned.size}`;
      if (now === seen) return new Map();
      const unknown = [...learned.keys()].filter((id) => !items.has(id));
      if (unknown.length > 0) await recall(unknown);
      const known = [...learned].flatMap(([id, choice]) => {
        const found = items.get(id);
        return found ? [{ id, choice, ...found }] : [];
      });
      if (known.length === 0) return new Map();
      const unsettled = await unsettledItems();
      const standing = await said([...new Set(known.map(({ item }) => item))]);
      const changed = new Map<string, Standing>();
      for (const { id, choice, item, turned } of known) {
        if (unsettled.has(item)) continue;
        const says = standing.get(item) ?? 'skip';
        const now = says === 'skip' ? 'taken back' : turned ? (turn(says) as Choice) : says;
        if (JSON.stringify(now) !== JSON.stringify(choice)) changed.set(id, now);
      }
      // what has not settled is looked at again
      seen = unsettled.size > 0 ? '' : now;
      return changed;
    },
    withdraw: () => close([...unanswered]),
  };
}

/** Votes that may have come within the time that an answer has to stand. */
const LATEST = 1000;

/** Of what says which is better; incomparable where nothing does. */
function meanOf(given: readonly Choice[]): Choice {
  const telling = given.filter((choice) => choice !== 'incomparable');
  if (telling.length === 0) return 'incomparable';
  const first = telling.reduce((sum, [p]) => sum + p, 0) / telling.length;
  return [first, 1 - first];
}

const turn = (choice: Choice | 'skip'): Choice | 'skip' =>
  typeof choice === 'string' ? choice : [choice[1], choice[0]];
