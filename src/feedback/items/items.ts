/** Items: what people are asked about. */
import { createHash } from 'node:crypto';
import { HeedError } from '../../error.ts';
import { type Answer, answerSchema, type Content, contentSchema, type Kind, optionCounts } from '../judgment.ts';
import type { Project } from '../project.ts';
import { newId, note } from '../store/audit.ts';
import { atOnce, type Database } from '../store/database.ts';

export interface NewItem {
  content: Content;
  source?: string;
  topic?: string;
  /** Kept as it is, and exported again. */
  metadata?: Record<string, unknown>;
  /** The right answer, where it is known. */
  gold?: Answer;
  practice?: boolean;
  priority?: number;
}

export interface Item extends NewItem {
  id: string;
  seq: number;
}

/** Rows of one insert: databases limit the values of a statement. */
const AT_ONCE = 500;

/**
 * Adds items; those whose content is there already stay as they are, so that an import may be repeated. All or none.
 *
 * @throws HeedError naming the item and what is wrong with it.
 */
export async function addItems(
  { query }: Database,
  { id: project, settings }: Project,
  items: readonly NewItem[],
  person: string | null = null,
): Promise<{ added: number; known: number }> {
  const created = Date.now();
  const rows = items.map((given, i) => {
    const item = checkedItem(given, settings.kind, i);
    return {
      id: newId(),
      project,
      key: keyOf(item.content),
      contentJson: JSON.stringify(item.content),
      source: item.source ?? null,
      topic: item.topic ?? null,
      metadataJson: item.metadata ? JSON.stringify(item.metadata) : null,
      goldJson: item.gold ? JSON.stringify(item.gold) : null,
      practice: Number(item.practice ?? false),
      priority: item.priority ?? 0,
      taken: 0,
      answered: 0,
      wanted: settings.overlap,
      decidedBy: null,
      closed: 0,
      created,
    };
  });
  const added = await atOnce(query, async (query) => {
    let count = 0;
    for (let from = 0; from < rows.length; from += AT_ONCE) {
      const made = await query
        .insertInto('items')
        .values(rows.slice(from, from + AT_ONCE))
        .onConflict((conflict) => conflict.columns(['project', 'key']).doNothing())
        .returning('id')
        .execute();
      count += made.length;
    }
    await note(query, { project, person, kind: 'items added', detail: { added: count, known: rows.length - count } });
    return count;
  });
  return { added, known: rows.length - added };
}

function checkedItem(item: NewItem, kind: Kind, index: number): NewItem {
  const { success, data, error } = contentSchema.safeParse(item.content);
  const [least, most] = optionCounts[kind];
  if (!success) {
    const { path, message } = error.issues[0];
    throw wrong(index, `${path.join('.')}: ${message}`);
  }
  if (data.options.length < least || data.options.length > most) {
    const expected = least === most ? `${least}` : `${least} to ${most}`;
    throw wrong(index, `a ${kind} has ${expected} options, got ${data.options.length}`);
  }
  if (least === 0 && data.prompt === undefined) throw wrong(index, `a ${kind} needs a prompt`);
  if (`${item.source}${item.topic}`.includes('\0')) throw wrong(index, 'source and topic have no NUL in them');
  if (item.practice && !item.gold) throw wrong(index, 'practice needs the right answer');
  if (item.gold) checkAnswer(item.gold, kind, data, index);
  return { ...item, content: data };
}

/** @throws HeedError where an answer is none of its kind, or does not fit what was asked. */
export function checkAnswer(given: unknown, kind: Kind, { options }: Content, index?: number): Answer {
  const { success, data, error } = answerSchema.safeParse(given);
  if (!success) {
    const { path, message } = error.issues[0];
    throw wrong(index, `the answer's ${path.join('.') || 'kind'}: ${message}`);
  }
  if (data.kind !== kind) throw wrong(index, `expected an answer of kind ${kind}, got ${data.kind}`);
  if (data.kind === 'ranking' && data.ranks.length !== options.length) {
    throw wrong(index, `expected ${options.length} ranks, got ${data.ranks.length}`);
  }
  return data;
}

const wrong = (index: number | undefined, what: string) =>
  new HeedError(index === undefined ? `${what[0].toUpperCase()}${what.slice(1)}.` : `Item ${index + 1}: ${what}.`);

/** By what is shown alone, in whatever order the options come. */
export function keyOf({ prompt, options }: Content): string {
  const own = options.map((option) => JSON.stringify(option)).sort();
  return createHash('sha256')
    .update(JSON.stringify([prompt ?? null, own]))
    .digest('hex')
    .slice(0, 32);
}

type Row = Pick<
  import('../store/schema.ts').Tables['items'],
  'id' | 'contentJson' | 'source' | 'topic' | 'metadataJson' | 'goldJson' | 'practice' | 'priority'
> & { seq: number };

export const itemColumns = [
  'id',
  'seq',
  'contentJson',
  'source',
  'topic',
  'metadataJson',
  'goldJson',
  'practice',
  'priority',
] as const;

/** What a row holds. It was checked when it was written. */
export const itemOf = ({ contentJson, source, topic, metadataJson, goldJson, practice, ...row }: Row): Item => ({
  ...row,
  content: JSON.parse(contentJson),
  ...(source !== null && { source }),
  ...(topic !== null && { topic }),
  ...(metadataJson !== null && { metadata: JSON.parse(metadataJson) }),
  ...(goldJson !== null && { gold: JSON.parse(goldJson) }),
  practice: practice === 1,
});

/** What a model says is most informative comes first. Items that are not there are passed over; returns how many are. */
export async function setPriorities(
  { query }: Database,
  project: string,
  priorities: ReadonlyMap<string, number>,
  person: string | null = null,
): Promise<number> {
  return query.transaction().execute(async (query) => {
    let items = 0;
    for (const [id, priority] of priorities) {
      const { numUpdatedRows } = await query
        .updateTable('items')
        .set({ priority })
        .where('id', '=', id)
        .where('project', '=', project)
        .executeTakeFirstOrThrow();
      items += Number(numUpdatedRows);
    }
    await note(query, { project, person, kind: 'priorities set', detail: { items } });
    return items;
  });
}
