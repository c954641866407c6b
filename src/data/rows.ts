/** Data that callers pass: a path, or rows in memory; and the rows of each format. */
import { HeedError, messageOf } from '../error.ts';
import { breathe, turnIsDue } from '../node.ts';

/**
 * A dataset: a path (a file, a folder, a pattern), or rows in memory. An array is used as it is; an iterable is read
 * once. Other columns of rows are kept.
 */
export type Data<R = object> = string | DataRows<R>;

/** Rows in memory. */
export type DataRows<R = object> =
  | Iterable<R | (R & Record<string, unknown>)>
  | AsyncIterable<R | (R & Record<string, unknown>)>;

/** A message as rows have it: one of a file, or a `ChatMessage` of heed/lm. */
export interface RowMessage {
  /** Who wrote it: system, developer, user, assistant or tool. */
  role: string;
  /** The text; may be absent from a message that calls tools. */
  content?: string | readonly object[] | null;
  readonly [extra: string]: unknown;
}

/** A text, or a conversation. */
export type RowText = string | readonly RowMessage[];

/** Plain text to learn: `{ text: 'Once upon a time' }`. */
export interface TextRow {
  /** The whole text. The tokenizer's EOS is added at its end. */
  text: string;
}

/** A conversation to learn. The tokenizer's chat template writes it. */
export interface MessagesRow {
  /** The turns in order. Training learns the assistant's, unless `loss` says otherwise. */
  messages: readonly RowMessage[];
}

/** A prompt with the completion to learn. */
export interface PromptCompletionRow {
  /** Text, or the turns before the completion. */
  prompt: RowText;
  /** Text if the prompt is text, else the assistant's turn. */
  completion: RowText;
}

/** A prompt for the model to complete. */
export interface PromptRow {
  /** Text to continue, or a conversation in which the assistant speaks next. */
  prompt: RowText;
}

/** Two completions of a prompt, and which of them was preferred. */
export interface PreferenceRow {
  /** Text or turns. By default, the common beginning of both completions. */
  prompt?: RowText;
  /** The preferred completion; text if the prompt is text. */
  chosen: RowText;
  /** The other completion. */
  rejected: RowText;
  /** True if neither was preferred: reward models learn a tie, preference losses skip the row. */
  tie?: boolean;
  /** For reward models: the minimum difference of the two scores. */
  margin?: number;
  /** For preference losses: how much the row counts, from 0 up; 1 by default. */
  weight?: number;
}

/** Several completions of a prompt, ranked or rated. Reward models learn them as one ranking. */
export interface RankingRow {
  /** Text or turns. */
  prompt: RowText;
  /** Two or more completions. */
  completions: RowText[];
  /** The rank of each completion: 1 is the best, equal ranks are ties. */
  ranks?: number[];
  /** Instead of ranks: a rating of each completion, higher is better. */
  ratings?: number[];
}

/** One completion of a prompt, labeled good or bad. */
export interface UnpairedPreferenceRow {
  /** Text or turns. */
  prompt: RowText;
  /** Text if the prompt is text, else the assistant's turn. */
  completion: RowText;
  /** Whether the completion is good; 1 and 0 are accepted. */
  label: boolean | 0 | 1;
  /** How much the row counts, from 0 up; 1 by default. */
  weight?: number;
}

/** One completion of a prompt with a rating. Rows with the same prompt form a ranking. */
export interface RatedRow extends PromptCompletionRow {
  /** Higher is better. */
  rating: number;
}

/** A completion in steps, each labeled right or wrong. */
export interface StepwiseRow {
  /** Text or turns. */
  prompt: RowText;
  /** The steps of one completion in their order. */
  completions: string[];
  /** Whether each step is right; 1 and 0 are accepted. */
  labels: (boolean | 0 | 1)[];
}

/** Rows as an array; an array is returned as it is. */
export async function collectRows<R>(rows: DataRows<R>, name = 'data'): Promise<readonly R[]> {
  if (Array.isArray(rows)) return rows;
  const collected: R[] = [];
  try {
    for await (const row of rows) {
      if (turnIsDue()) await breathe();
      collected.push(row);
    }
  } catch (cause) {
    throw new HeedError(`${name}: row ${collected.length + 1} could not be read: ${messageOf(cause)}`, {
      hint: 'The error is in the iterable that gives the rows.',
      cause,
    });
  }
  return collected;
}

/** Whether a value can be iterated and is not text. */
export const isRows = (value: unknown): value is DataRows =>
  typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value);
