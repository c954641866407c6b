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

// JSON shows NaN and Infinity as null, which would hide the error.
function show(value: unknown): string {
  const text = JSON.stringify(value, (_, v) => (typeof v === 'number' && !Number.isFinite(v) ? String(v) : v));
  if (text === undefined) return String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
