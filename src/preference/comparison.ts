/** The record that both halves of heed learn from: two options, and a teacher's choice. */

import { HeedError } from '../error.ts';

/** How much each of the two options was preferred: non-negative, sums to 1. */
export type Preference = readonly [first: number, second: number];

/** What a teacher says of a pair. `'incomparable'`: they could not tell. It stays in the record and is never trained on. */
export type PairJudgment = Preference | 'incomparable';

/** The three choices that most teachers make. */
export const choices = { first: [1, 0], second: [0, 1], tie: [0.5, 0.5] } as const satisfies Record<string, Preference>;

/** A comparison as plain data: JSON whenever its options are. */
export interface Comparison<Option> {
  /** The query's id: unique in a run or a store. */
  readonly id: string;
  /** The two options, in the order in which the teacher saw them. */
  readonly options: readonly [first: Option, second: Option];
  /** Shares of preference for the two options, or that they cannot be compared. */
  readonly choice: PairJudgment;
  /** The teacher's name, or a person's id. */
  readonly teacher: string;
  /**
   * When the choice was made, in milliseconds since 1970 (UTC). Synthetic teachers leave it out, so that runs
   * reproduce.
   */
  readonly time?: number;
}

// Wide enough for distributions written with six decimals or read from float32, narrow enough to catch counts and
// percentages.
const sumTolerance = 1e-5;

/**
 * Checks a choice and returns it.
 * @throws HeedError if it is neither `'incomparable'` nor two finite non-negative numbers that sum to 1.
 */
export function checkPreference(value: unknown): PairJudgment {
  if (value === 'incomparable') return value;
  const ok =
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((p) => Number.isFinite(p) && p >= 0) &&
    Math.abs(value[0] + value[1] - 1) <= sumTolerance;
  if (ok) return value as unknown as Preference;
  throw new HeedError(
    `A choice must be 'incomparable' or two non-negative numbers that sum to 1, as [1, 0]; got ${show(value)}.`,
    { hint: 'Write [1, 0] for the first option, [0, 1] for the second and [0.5, 0.5] for a tie.' },
  );
}

/**
 * Checks a comparison's own fields and returns it; its owner checks the content of options.
 * @throws HeedError that names the wrong field.
 */
export function checkComparison(value: unknown): Comparison<unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HeedError(`A comparison must be an object; got ${show(value)}.`, { hint });
  }
  const { id, options, choice, teacher, time } = value as Record<string, unknown>;
  if (typeof id !== 'string' || id === '') wrong('id', 'a non-empty string', id);
  const pair = Array.isArray(options) && options.length === 2 && options.every((o) => o !== undefined && o !== null);
  if (!pair) wrong('options', 'two options', options, id);
  if (typeof teacher !== 'string' || teacher === '') wrong('teacher', 'a non-empty string', teacher, id);
  if (time !== undefined && !Number.isFinite(time)) wrong('time', 'milliseconds since 1970', time, id);
  checkPreference(choice);
  return value as Comparison<unknown>;
}

const hint = 'A comparison is { id, options: [first, second], choice, teacher, time? }.';

function wrong(field: string, expected: string, got: unknown, id?: unknown): never {
  const where = typeof id === 'string' ? `Comparison '${id}'` : 'A comparison';
  throw new HeedError(`${where} has a wrong '${field}': expected ${expected}, got ${show(got)}.`, { hint });
}

// JSON shows NaN and Infinity as null, which would hide the error.
function show(value: unknown): string {
  const text = JSON.stringify(value, (_, v) => (typeof v === 'number' && !Number.isFinite(v) ? String(v) : v));
  if (text === undefined) return String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
