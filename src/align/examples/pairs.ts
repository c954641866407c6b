/**
 * Comparisons of two answers as tokens: what TRL's RewardTrainer makes of them. Its DPOTrainer cuts the answer where the prompt
 * alone would end, which loses a letter where a token reaches over that end; here no letter is lost.
 */
import { explicitPrompt, type Message, type Place, placeInWords, type Row } from '../../data/index.ts';
import { HeedError } from '../../error.ts';
import type { Example } from '../../lm/packing.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import { encodeRow } from './encode.ts';
import { createExamples, type Examples } from './examples.ts';

interface EncodedPair {
  chosen: Example;
  rejected: Example;
}

/**
 * The tokens of a preference row (of text or of messages, its prompt explicit or what both answers begin with): prompt, answer
 * and EOS, or what the chat template makes of them. Of each, the answer is to be learned.
 *
 * @throws HeedError where an answer is empty or both are equal, or the tokenizer has no EOS token or no chat template.
 */
export function encodePair(row: Row, tokenizer: Tokenizer): EncodedPair {
  const { prompt, chosen, rejected } = promptedPair(row);
  return { chosen: encodeAnswer(prompt, chosen, tokenizer), rejected: encodeAnswer(prompt, rejected, tokenizer) };
}

/** A preference row with its prompt explicit. @throws HeedError where an answer is empty or both are equal. */
export function promptedPair(row: Row): Row {
  const pair = row.prompt === undefined || row.prompt === null ? explicitPrompt(row) : row;
  const { chosen, rejected } = pair;
  for (const [name, answer] of Object.entries({ chosen, rejected })) checkAnswer(answer, name);
  if (JSON.stringify(chosen) === JSON.stringify(rejected)) {
    throw new HeedError('"chosen" and "rejected" are equal.', {
      hint: 'Leave the row out: a comparison of a text with itself says nothing.',
    });
  }
  return pair;
}

/** An answer to a prompt, text or messages. `learn` is 1 for the answer's tokens. */
export const encodeAnswer = (prompt: unknown, completion: unknown, tokenizer: Tokenizer): Example =>
  encodeRow({ prompt, completion }, tokenizer, 'completion');

/** @throws HeedError where an answer says nothing. */
export function checkAnswer(answer: unknown, name: string): void {
  const said = (text: unknown) => typeof text !== 'string' || text.trim() !== '';
  const sound =
    typeof answer === 'string'
      ? said(answer)
      : Array.isArray(answer) && answer.length > 0 && (answer as Message[]).every(({ content }) => said(content));
  if (!sound) throw new HeedError(`"${name}" is an empty answer.`, { hint: 'Leave the row out, or give the answer.' });
}

/** What becomes of a pair with an answer longer than the model is to read; "start" and "end" say what is kept of each. */
export const pairTruncations = ['drop', 'start', 'end', 'error'] as const;
type PairTruncation = (typeof pairTruncations)[number];

export interface PairOptions {
  /** The most tokens of prompt and answer. */
  length: number;
  truncate: PairTruncation;
  /** Whether a pair that cannot be used ends the reading, or is told of and left out. */
  onBadRow?: 'error' | 'skip';
  onNotice?: (text: string) => void;
}

export interface Pairs {
  /** The i-th of each belong together. */
  chosen: Examples;
  rejected: Examples;
  /** The rows they were made of. */
  rows: readonly Row[];
  /** How many were longer than `length`. */
  long: number;
}

/**
 * Pairs of a dataset's rows. Throws a HeedError with file and line where one cannot be used, and where there are none.
 */
export async function gatherPairs(
  dataset: AsyncIterable<{ value: Row } & Partial<Place>> | Iterable<{ value: Row } & Partial<Place>>,
  tokenizer: Tokenizer,
  source: string,
  options: PairOptions,
): Promise<Pairs> {
  const [chosen, rejected] = [createExamples(), createExamples()];
  const rows: Row[] = [];
  let long = 0;
  for await (const { row, answers } of encodedRows(dataset, source, options, (value) => {
    const pair = encodePair(value, tokenizer);
    return [pair.chosen, pair.rejected];
  })) {
    if (answers.some(({ ids }) => ids.length > options.length)) long++;
    const fitted = fitAll(answers, options);
    if (!fitted) continue;
    chosen.add(fitted[0]);
    rejected.add(fitted[1]);
    rows.push(row);
  }
  if (rows.length > 0) return { chosen, rejected, rows, long };
  throw nothingLeft(source, long, options.length);
}

export const nothingLeft = (source: string, long: number, length: number): HeedError =>
  new HeedError(
    `"${source}" has no comparison to learn from${long > 0 ? `: ${long} are longer than ${length} tokens` : ''}.`,
    { hint: 'Look at the rows, and at how long an answer may be with its prompt (--length).' },
  );

/** Rows with what `encode` makes of each; its complaints come with file and line, or are told of where rows may be left out. */
export async function* encodedRows(
  dataset: AsyncIterable<{ value: Row } & Partial<Place>> | Iterable<{ value: Row } & Partial<Place>>,
  source: string,
  { onBadRow = 'error', onNotice, length, truncate }: PairOptions,
  encode: (row: Row) => Example[],
): AsyncGenerator<{ row: Row; answers: Example[] }> {
  let count = 0;
  for await (const { value, file = source, line = count + 1, row = count + 1 } of dataset) {
    count++;
    const where = placeInWords({ file, line, row });
    try {
      const answers = encode(value);
      const longest = Math.max(...answers.map(({ ids }) => ids.length));
      if (truncate === 'error' && longest > length) {
        throw new HeedError(`an answer has ${longest} tokens with its prompt, ${length} are read.`, {
          hint: 'Read more (--length), or have long comparisons left out or cut (--truncate).',
        });
      }
      yield { row: value, answers };
    } catch (cause) {
      if (!(cause instanceof HeedError)) throw cause;
      if (onBadRow === 'error') {
        throw new HeedError(`${where}: ${cause.message}`, {
          hint: cause.hint ?? 'Correct the row, or leave bad rows out with --on-bad-row skip.',
          cause,
        });
      }
      onNotice?.(`left out ${where}: ${cause.message}`);
    }
  }
}

/** Answers cut to a length as told; undefined where they are to be left out, or nothing of an answer would be left to learn. */
export function fitAll(answers: readonly Example[], { length, truncate }: PairOptions): Example[] | undefined {
  if (answers.every(({ ids }) => ids.length <= length)) return [...answers];
  if (truncate === 'drop') return undefined;
  const cut = <T>(values: ArrayLike<T>): T[] => {
    const all = Array.from(values);
    return truncate === 'start' ? all.slice(0, length) : all.slice(-length);
  };
  const fitted = answers.map(({ ids, learn }) => ({ ids: cut(ids), learn: learn && cut(learn) }));
  return fitted.every(({ learn }) => !learn || learn.slice(1).includes(1)) ? fitted : undefined;
}
