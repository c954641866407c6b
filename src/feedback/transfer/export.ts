/** What people said as datasets: for the trainings here, for others', or all of it. */
import type { Row } from '../../data/index.ts';
import { HeedError } from '../../error.ts';
import { itemColumns, itemOf } from '../items/items.ts';
import { type Answer, type Content, choiceOf, type Kind, type Option } from '../judgment.ts';
import type { Project } from '../project.ts';
import { givenAnswers, qualityOf } from '../quality/quality.ts';
import type { Database } from '../store/database.ts';

export const exportFormats = [
  'preference',
  'unpaired-preference',
  'ranking',
  'prompt-completion',
  'rating',
  'votes',
] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** How several answers to an item become one: all of them, the most frequent, or what is probably true (Dawid and Skene). */
export const merges = ['each', 'majority', 'consensus'] as const;
export type Merge = (typeof merges)[number];

/** What a project's answers can be exported as; the first is the usual one. */
export const formatsOf: Readonly<Record<Kind, readonly ExportFormat[]>> = {
  pair: ['preference', 'unpaired-preference', 'prompt-completion', 'votes'],
  ranking: ['ranking', 'preference', 'votes'],
  rating: ['rating', 'votes'],
  binary: ['unpaired-preference', 'votes'],
  correction: ['prompt-completion', 'preference', 'votes'],
  demonstration: ['prompt-completion', 'votes'],
};

export interface ExportOptions {
  format?: ExportFormat;
  merge?: Merge;
  /** Items whose answer was known, practice among them, too. */
  gold?: boolean;
}

/**
 * Rows of a project's answers, item by item. Ties, "both bad" and "cannot tell" are in votes alone, as nothing of them says which answer is better.
 *
 * @throws HeedError for a format that the project's answers cannot have.
 */
export async function* exportRows(
  database: Database,
  project: Project,
  { format = formatsOf[project.settings.kind][0], merge = 'majority', gold = false }: ExportOptions = {},
): AsyncGenerator<Row> {
  const possible = formatsOf[project.settings.kind];
  if (!possible.includes(format)) {
    throw new HeedError(`A project of kind ${project.settings.kind} cannot be exported as ${format}.`, {
      hint: `Expected ${possible.join(', ')}.`,
    });
  }
  const { query } = database;
  const people = new Map(
    (await query.selectFrom('people').select(['id', 'name']).execute()).map(({ id, name }) => [id, name]),
  );
  const given = await givenAnswers(database, project.id);
  const probable = merge === 'consensus' ? qualityOf(given).consensus : undefined;
  const byItem = new Map<string, { person: string; answer: Answer }[]>();
  for (const { item, person, answer, decidedBy } of given) {
    if (decidedBy !== null && decidedBy !== person && merge !== 'each') continue;
    byItem.set(item, [...(byItem.get(item) ?? []), { person: people.get(person)!, answer }]);
  }
  const items = await query
    .selectFrom('items')
    .select(itemColumns)
    .where('project', '=', project.id)
    .$if(!gold && format !== 'votes', (select) => select.where('goldJson', 'is', null))
    .orderBy('seq')
    .execute();
  const votes = format === 'votes' ? await votesByItem(database, project.id, people) : undefined;
  for (const row of items) {
    const item = itemOf(row);
    const { content, source, topic, metadata } = item;
    const extra = { ...(source && { source }), ...(topic && { topic }), ...(metadata && { metadata }) };
    if (votes) {
      const { gold, practice } = item;
      yield { ...content, ...extra, ...(gold && { gold, practice }), votes: votes.get(item.id) ?? [] };
      continue;
    }
    for (const one of merged(byItem.get(item.id) ?? [], merge, probable?.get(item.id))) {
      for (const exported of rowsOf(content, one.answer, format)) {
        yield { ...exported, ...extra, annotators: one.people, ...(one.share < 1 && { agreement: one.share }) };
      }
    }
  }
}

async function votesByItem({ query }: Database, project: string, people: ReadonlyMap<string, string>) {
  const rows = await query
    .selectFrom('votes')
    .select(['id', 'item', 'person', 'kind', 'answerJson', 'shownJson', 'duration', 'created', 'guidelines'])
    .where('project', '=', project)
    .where('kind', '!=', 'undo')
    .orderBy('seq')
    .execute();
  const byItem = new Map<string, Row[]>();
  for (const { id, item, person, answerJson, shownJson, duration, created, guidelines } of rows) {
    const vote = {
      id,
      person: people.get(person)!,
      vote: JSON.parse(answerJson),
      ...(shownJson && { shown: JSON.parse(shownJson) }),
      ...(duration !== null && { duration }),
      time: created,
      guidelines,
    };
    byItem.set(item, [...(byItem.get(item) ?? []), vote]);
  }
  return byItem;
}

interface Merged {
  answer: Answer;
  people: string[];
  /** Of those who answered, who say so. */
  share: number;
}

function merged(
  all: readonly { person: string; answer: Answer }[],
  merge: Merge,
  probable: { answer: number } | undefined,
): Merged[] {
  if (merge === 'each') return all.map(({ person, answer }) => ({ answer, people: [person], share: 1 }));
  const groups = new Map<string, { person: string; answer: Answer }[]>();
  for (const one of all) groups.set(keyOf(one.answer), [...(groups.get(keyOf(one.answer)) ?? []), one]);
  const sorted = [...groups.values()].sort((a, b) => b.length - a.length);
  const top = probable ? sorted.find(([{ answer }]) => categoryIs(answer, probable.answer)) : sorted[0];
  // of an even split nobody can say what it says
  if (!top || (!probable && sorted.length > 1 && sorted[1].length === top.length)) return [];
  return [{ answer: top[0].answer, people: top.map(({ person }) => person), share: top.length / all.length }];
}

/** What is the same answer, whatever reasons were given. */
function keyOf(answer: Answer): string {
  const { reason: _, ...said } = answer;
  if (said.kind === 'pair') return said.choice;
  return JSON.stringify(said);
}

function categoryIs(answer: Answer, category: number): boolean {
  if (answer.kind === 'pair') return ['first', 'second', 'tie', 'both-bad', 'unknown'][category] === answer.choice;
  if (answer.kind === 'binary') return Number(answer.good) === category;
  return true;
}

const textOf = (option: Option): string | undefined => (option.kind === 'text' ? option.text : undefined);

function rowsOf({ prompt, options }: Content, answer: Answer, format: ExportFormat): Row[] {
  const asked = prompt === undefined ? {} : { prompt };
  const said = (option: Option) => {
    const text = textOf(option);
    return text === undefined ? option : Array.isArray(prompt) ? [{ role: 'assistant', content: text }] : text;
  };
  const written = (text: string) => (Array.isArray(prompt) ? [{ role: 'assistant', content: text }] : text);
  const told = { ...(answer.reason && { reason: answer.reason }) };
  switch (answer.kind) {
    case 'pair': {
      const choice = choiceOf(answer);
      if (format === 'prompt-completion')
        return answer.better ? [{ ...asked, completion: written(answer.better), ...told }] : [];
      if (choice === 'incomparable' || choice[0] === choice[1]) return [];
      const [chosen, rejected] = choice[0] > choice[1] ? options : options.toReversed();
      if (format === 'unpaired-preference') {
        return [
          { ...asked, completion: said(chosen), label: true, ...told },
          { ...asked, completion: said(rejected), label: false, ...told },
        ];
      }
      const strength = answer.strength ? { strength: answer.strength } : {};
      return [{ ...asked, chosen: said(chosen), rejected: said(rejected), ...strength, ...told }];
    }
    case 'ranking': {
      const { ranks } = answer;
      if (format === 'ranking') return [{ ...asked, completions: options.map(said), ranks, ...told }];
      return options.flatMap((better, i) =>
        options.flatMap((worse, j) =>
          ranks[i] < ranks[j] ? [{ ...asked, chosen: said(better), rejected: said(worse), ...told }] : [],
        ),
      );
    }
    case 'rating':
      return [{ ...asked, completion: said(options[0]), ratings: answer.ratings, ...told }];
    case 'binary':
      return [{ ...asked, completion: said(options[0]), label: answer.good, ...told }];
    case 'correction':
      return format === 'preference'
        ? [{ ...asked, chosen: written(answer.text), rejected: said(options[0]), ...told }]
        : [{ ...asked, completion: written(answer.text), ...told }];
    default:
      return [{ ...asked, completion: written(answer.text), ...told }];
  }
}
