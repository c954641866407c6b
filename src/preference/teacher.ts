/**
 * A teacher judges queries, at once (an oracle) or later (a person). Judgments arrive one by one, in any order, and
 * some may never arrive. A loop may wait for them all or continue to learn.
 */

import { HeedError } from '../error.ts';
import { type Comparison, checkPreference, type PairJudgment } from './comparison.ts';

/** Two options for a teacher to compare. */
export interface Query<Option> {
  /** Unique in a run, and the same in a resumed run: a synthetic teacher's randomness depends on it. */
  readonly id: string;
  /** The two options, in the order in which a person sees them. */
  readonly options: readonly [first: Option, second: Option];
}

/** A teacher's judgment of a query. */
export interface QueryJudgment {
  /** The query's id. */
  readonly id: string;
  /**
   * `'skip'`: the teacher declined; nothing is recorded and no label is spent. `'incomparable'` is a judgment: it is
   * recorded, it costs a label, and nothing is learned from it.
   */
  readonly choice: PairJudgment | 'skip';
  /** When it was made, in milliseconds since 1970 (UTC). */
  readonly time?: number;
}

/**
 * Any object of this shape is a teacher, such as
 * `{ name: 'first', answer: (queries) => queries.map(({ id }) => ({ id, choice: [1, 0] })) }`.
 */
export interface Teacher<Option> {
  /** Recorded with every comparison. */
  readonly name: string;
  /**
   * Whether judgments take time, as a person's do. A loop then continues in the meantime; otherwise it waits for all.
   */
  readonly later?: boolean;
  /**
   * Judges each of these queries at most once, and ends when it has no more judgments or `signal` aborts. It keeps no
   * state between calls that a resumed run would miss: a judgment depends on its query only.
   */
  answer(
    queries: readonly Query<Option>[],
    signal?: AbortSignal,
  ): Iterable<QueryJudgment> | AsyncIterable<QueryJudgment>;
  /**
   * The current judgments of those comparisons in `standings` that the teacher has changed, by query id. Absent if
   * judgments never change.
   */
  changed?(standings: ReadonlyMap<string, CurrentJudgment>): Promise<ReadonlyMap<string, CurrentJudgment>>;
  /**
   * Called with true when the loop begins to wait for judgments, and with false when it continues. Only if `later` is
   * set.
   */
  onWait?(waiting: boolean): void;
}

/** The current judgment of a comparison: the choice, or that the teacher took it back. */
export type CurrentJudgment = PairJudgment | 'taken back';

/**
 * Queries a teacher, and yields a comparison for each judgment that is not a skip, as it arrives.
 * @throws HeedError if two queries share an id, the teacher judges a query that is not open, or makes an invalid
 * choice.
 */
export async function* askTeacher<Option>(
  teacher: Teacher<Option>,
  queries: readonly Query<Option>[],
  signal?: AbortSignal,
): AsyncGenerator<Comparison<Option>, void, undefined> {
  const open = new Map(queries.map((query) => [query.id, query]));
  if (open.size !== queries.length) {
    throw new HeedError(`Each query needs its own id; ${queries.length} queries have ${open.size} ids.`, {
      hint: 'Number the queries of a run: a judgment finds its query by the id.',
    });
  }
  for await (const { id, choice, time } of teacher.answer(queries, signal)) {
    const query = open.get(id);
    if (!query) {
      throw new HeedError(`Teacher '${teacher.name}' judged '${id}', which is not an open query.`, {
        hint: 'Judge each of the queries at most once, by its id.',
      });
    }
    open.delete(id);
    if (choice === 'skip') continue;
    const comparison = { id, options: query.options, choice: checkPreference(choice), teacher: teacher.name };
    yield time === undefined ? comparison : { ...comparison, time };
  }
}
