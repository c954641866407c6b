/** What a project's answers are worth: how far people agree, how reliable each is, what is probably true, and what was not asked yet. */
import {
  accuracyOf,
  type Consensus,
  cohenKappa,
  dawidSkene,
  fleissKappa,
  type Rating,
  type Reliability,
  reliability,
} from '../../preference/index.ts';
import { type Answer, type Content, categoryOf, pairChoices } from '../judgment.ts';
import type { Project } from '../project.ts';
import type { Database } from '../store/database.ts';

/** An answer that counts, with what it answers. */
export interface Given {
  item: string;
  person: string;
  answer: Answer;
  /** Of the vote. */
  created: number;
  duration: number | null;
  shown: number[] | null;
  guidelines: number;
  gold: Answer | undefined;
  practice: boolean;
  /** Who decided where people disagreed, if anybody did. */
  decidedBy: string | null;
}

/** Every answer that counts, in the order of the votes; skips are left out. */
export async function givenAnswers({ query }: Database, project: string): Promise<Given[]> {
  const rows = await query
    .selectFrom('answers')
    .innerJoin('votes', 'votes.seq', 'answers.vote')
    .innerJoin('items', 'items.id', 'answers.item')
    .select([
      'answers.item',
      'answers.person',
      'answers.answerJson',
      'votes.created',
      'votes.duration',
      'votes.shownJson',
      'votes.guidelines',
      'items.goldJson',
      'items.practice',
      'items.decidedBy',
    ])
    .where('answers.project', '=', project)
    .where('answers.kind', '=', 'answer')
    .orderBy('votes.seq')
    .execute();
  return rows.map(({ answerJson, shownJson, goldJson, practice, ...row }) => ({
    ...row,
    answer: JSON.parse(answerJson),
    shown: shownJson === null ? null : JSON.parse(shownJson),
    gold: goldJson === null ? undefined : JSON.parse(goldJson),
    practice: practice === 1,
  }));
}

/** How one person answers. Shares are NaN where there is nothing to tell them by. */
export interface PersonQuality {
  person: string;
  answers: number;
  /** Share of known answers that they gave, practice left out. */
  gold: { right: number; n: number };
  /** Share of others' answers to the same items that are theirs too. */
  agreement: { share: number; n: number };
  /** By Dawid and Skene, of what is probably true. */
  reliability: number;
  /** Median of the time from seeing to answering, in seconds. */
  seconds: number;
  /** Share of their decided choices for what was shown on the left, and how many deviations it is from a half. */
  left: { share: number; z: number; n: number };
  /** How much less they agree with what is probably true in the last third of their answers than in the first. */
  fatigue: number;
}

export interface Quality {
  /** Answers that count, by how many people, to how many items. */
  answers: number;
  people: PersonQuality[];
  items: number;
  /** Krippendorff's α with its interval, over what was answered by two or more; practice and known answers count too. */
  alpha: Reliability;
  /** Mean of Cohen's κ of every two people with 5 items or more in common, and Fleiss' where all items have equally many answers. */
  cohen: number;
  fleiss: number;
  /** Items on which people disagree and nobody has decided yet, those that are the least clear first. */
  disagreements: { item: string; confidence: number }[];
  /** What is probably true of each item. */
  consensus: Map<string, { answer: number; confidence: number }>;
  /** Guidelines that answers were given under, where there are several. */
  guidelines: { version: number; answers: number }[];
}

const FEW = 5;

/** Categories are those of `categoryOf`: of rankings, which is the best. What is written has none, and is not compared. */
export function qualityOf(given: readonly Given[], { seed = 0 }: { seed?: number } = {}): Quality {
  const [itemIds, people] = [given.map(({ item }) => item), given.map(({ person }) => person)].map(indexOf);
  const judged = given.flatMap((one) => {
    const category = categoryOf(one.answer);
    return category === undefined ? [] : [{ ...one, category }];
  });
  const ratings: Rating[] = judged.map(({ item, person, category }) => ({
    item: itemIds.get(item)!,
    annotator: people.get(person)!,
    category,
  }));
  const categories = 1 + ratings.reduce((most, { category }) => Math.max(most, category), 0);
  const found = ratings.length > 0 ? dawidSkene(ratings, { categories }) : undefined;
  const truth = found && truthOf(found, itemIds);
  const byItem = grouped(judged, ({ item }) => item);
  const byPerson = grouped(judged, ({ person }) => person);
  return {
    answers: given.length,
    items: itemIds.size,
    alpha: reliability(ratings, { seed }),
    cohen: meanCohen(byItem),
    fleiss: fleissOf([...byItem.values()], categories),
    people: [...grouped(given, ({ person }) => person)].map(([person, all]) => {
      const own = byPerson.get(person) ?? [];
      const reliability = found && own.length > 0 ? accuracyOf(found, people.get(person)!) : Number.NaN;
      return { ...personQuality(person, all, own, byItem, truth), reliability };
    }),
    disagreements: disagreementsOf(byItem, truth),
    consensus: truth ?? new Map(),
    guidelines: versionsOf(given),
  };
}

type Judged = Given & { category: number };

function personQuality(
  person: string,
  all: readonly Given[],
  own: readonly Judged[],
  byItem: ReadonlyMap<string, readonly Judged[]>,
  truth: Quality['consensus'] | undefined,
): Omit<PersonQuality, 'reliability'> {
  const known = own.filter(({ gold, practice }) => gold && !practice);
  const right = known.filter(({ gold, category }) => categoryOf(gold!) === category).length;
  let [equal, met] = [0, 0];
  for (const { item, category } of own) {
    for (const other of byItem.get(item)!) {
      if (other.person === person) continue;
      met++;
      equal += Number(other.category === category);
    }
  }
  const durations = all.flatMap(({ duration }) => duration ?? []);
  const decided = own.flatMap(({ answer, shown }) =>
    answer.kind === 'pair' && shown && (answer.choice === 'first' || answer.choice === 'second')
      ? [Number(shown[0] === (answer.choice === 'first' ? 0 : 1))]
      : [],
  );
  const left = mean(decided);
  const probable = own.map(({ item, category }) => Number(truth?.get(item)?.answer === category));
  const third = Math.floor(probable.length / 3);
  return {
    person,
    answers: all.length,
    gold: { right: known.length === 0 ? Number.NaN : right / known.length, n: known.length },
    agreement: { share: met === 0 ? Number.NaN : equal / met, n: met },
    seconds: median(durations) / 1000,
    left: { share: left, z: (left - 0.5) * 2 * Math.sqrt(decided.length), n: decided.length },
    fatigue: third < FEW ? Number.NaN : mean(probable.slice(0, third)) - mean(probable.slice(-third)),
  };
}

function truthOf({ items }: Consensus, ids: ReadonlyMap<string, number>): Quality['consensus'] {
  return new Map(
    [...ids].flatMap(([item, index]) => {
      const probabilities = items.get(index);
      if (!probabilities) return [];
      const confidence = Math.max(...probabilities);
      return [[item, { answer: probabilities.indexOf(confidence), confidence }] as const];
    }),
  );
}

function disagreementsOf(
  byItem: ReadonlyMap<string, readonly Judged[]>,
  truth: Quality['consensus'] | undefined,
): Quality['disagreements'] {
  return [...byItem]
    .filter(([, own]) => !own[0].decidedBy && own.some(({ category }) => category !== own[0].category))
    .map(([item]) => ({ item, confidence: truth!.get(item)!.confidence }))
    .sort((a, b) => a.confidence - b.confidence);
}

/** Found item by item: of hundreds of people few pairs have much in common. */
function meanCohen(byItem: ReadonlyMap<string, readonly Judged[]>): number {
  const met = [...byItem.values()].flatMap((own) => {
    const sorted = own.toSorted((a, b) => (a.person < b.person ? -1 : 1));
    return sorted.flatMap((one, i) => sorted.slice(i + 1).map((other) => [one, other] as const));
  });
  const kappas = [...grouped(met, ([one, other]) => `${one.person} ${other.person}`).values()]
    .filter(({ length }) => length >= FEW)
    .map((both) =>
      cohenKappa(
        both.map(([{ category }]) => category),
        both.map(([, { category }]) => category),
      ),
    );
  return mean(kappas.filter((kappa) => !Number.isNaN(kappa)));
}

function fleissOf(items: readonly (readonly Judged[])[], categories: number): number {
  const raters = items[0]?.length ?? 0;
  if (raters < 2 || items.some(({ length }) => length !== raters)) return Number.NaN;
  return fleissKappa(
    items.map((own) => {
      const counts = new Float64Array(categories);
      for (const { category } of own) counts[category]++;
      return counts;
    }),
  );
}

function versionsOf(given: readonly Given[]): Quality['guidelines'] {
  const versions = [...grouped(given, ({ guidelines }) => guidelines)];
  return versions.map(([version, own]) => ({ version, answers: own.length })).sort((a, b) => a.version - b.version);
}

/** What was answered of, and what is waiting: shares by topic, source and length. */
export interface Balance {
  by: 'topic' | 'source' | 'length';
  rows: { name: string; items: number; answered: number }[];
}

const LENGTHS = [100, 300, 1000, 3000];

/** Of the items, not of the answers. */
export async function balanceOf({ query }: Database, { id }: Project): Promise<Balance[]> {
  const items = await query
    .selectFrom('items')
    .select(['topic', 'source', 'answered', 'contentJson'])
    .where('project', '=', id)
    .orderBy('seq')
    .execute();
  const named = items.map(({ topic, source, answered, contentJson }) => ({
    answered: answered > 0,
    topic: topic ?? 'none',
    source: source ?? 'none',
    length: lengthName(JSON.parse(contentJson)),
  }));
  return (['topic', 'source', 'length'] as const).map((by) => ({
    by,
    rows: [...grouped(named, (one) => one[by])].map(([name, own]) => ({
      name,
      items: own.length,
      answered: own.filter(({ answered }) => answered).length,
    })),
  }));
}

function lengthName({ options }: Content): string {
  const longest = Math.max(
    0,
    ...options.map((option) => (option.kind === 'text' ? option.text.length : option.frames.length)),
  );
  const above = LENGTHS.find((most) => longest <= most);
  return above === undefined ? `over ${LENGTHS.at(-1)}` : `up to ${above}`;
}

/** Choices of pairs as people read them, in the order of their categories. */
export const categoryNames = (kind: Project['settings']['kind'], options: number): readonly string[] =>
  kind === 'pair'
    ? pairChoices
    : kind === 'binary'
      ? ['bad', 'good']
      : Array.from({ length: options }, (_, i) => String.fromCharCode(65 + i));

const indexOf = (values: readonly string[]): Map<string, number> =>
  new Map([...new Set(values)].map((value, i) => [value, i]));

function grouped<T, K>(values: readonly T[], key: (value: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const value of values) {
    const group = groups.get(key(value));
    if (group) group.push(value);
    else groups.set(key(value), [value]);
  }
  return groups;
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((a, b) => a + b, 0) / values.length;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
