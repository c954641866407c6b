/**
 * A teacher: whoever answers comparisons, at once (an oracle) or when they come to it (a person). Answers arrive one
 * by one, in any order, and some may never come; a loop may wait for them all or go on learning meanwhile.
 */

import { HeedError } from '../error.ts';
import { type Choice, type Comparison, checkChoice } from './comparison.ts';

export interface Question<Option> {
  /** Unique in a run, and the same in a resumed run: a synthetic teacher's randomness comes from it. */
  readonly id: string;
  readonly options: readonly [first: Option, second: Option];
}

export interface Answer {
  /** The question's id. */
  readonly id: string;
  /**
   * `'skip'`: the teacher declined; nothing is recorded and no label is spent. `'incomparable'` is an answer: it is
   * recorded, it costs a label, and nothing is learned from it.
   */
  readonly choice: Choice | 'skip';
  /** When it was given, in milliseconds since 1970 (UTC). */
  readonly time?: number;
}

/**
 * Any object of this shape is a teacher, such as
 * `{ name: 'first', answer: (questions) => questions.map(({ id }) => ({ id, choice: [1, 0] })) }`.
 */
export interface Teacher<Option> {
  /** Recorded with every comparison. */
  readonly name: string;
  /** Answers take their time, as a person's do: a loop goes on meanwhile. Without it, a loop waits for all of them. */
  readonly later?: boolean;
  /**
   * Answers each of these questions at most once, as answers come, and ends when it has no more to say about them or
   * `signal` aborts. It keeps nothing between calls that a resumed run would miss: the answer depends on the question,
   * not on how many were asked before it or beside it.
   */
  answer(questions: readonly Question<Option>[], signal?: AbortSignal): Iterable<Answer> | AsyncIterable<Answer>;
  /**
   * Of answers that were learned, by their questions' ids, those that are others now. Absent where an answer, once given,
   * stays.
   */
  changed?(learned: ReadonlyMap<string, Standing>): Promise<ReadonlyMap<string, Standing>>;
}

/** What counts of a question that was answered: the choice, or that it was taken back. */
export type Standing = Choice | 'taken back';

/**
 * Asks a teacher, and yields a comparison for each answer that is not a skip, as it comes.
 * @throws HeedError if two questions share an id, or the teacher answers what was not asked, answers twice, or makes a
 * choice that is none.
 */
export async function* ask<Option>(
  teacher: Teacher<Option>,
  questions: readonly Question<Option>[],
  signal?: AbortSignal,
): AsyncGenerator<Comparison<Option>, void, undefined> {
  const open = new Map(questions.map((question) => [question.id, question]));
  if (open.size !== questions.length) {
    throw new HeedError(`Each question needs an id of its own; ${questions.length} questions have ${open.size} ids.`, {
      hint: 'Number the questions of a run: an answer finds its question by the id.',
    });
  }
  for await (const { id, choice, time } of teacher.answer(questions, signal)) {
    const question = open.get(id);
    if (!question) {
      throw new HeedError(`Teacher '${teacher.name}' answered '${id}', which was not asked, or was answered before.`, {
        hint: 'Answer each of the given questions at most once, by its id.',
      });
    }
    open.delete(id);
    if (choice === 'skip') continue;
    const comparison = { id, options: question.options, choice: checkChoice(choice), teacher: teacher.name };
    yield time === undefined ? comparison : { ...comparison, time };
  }
}
