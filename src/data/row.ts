/** Rows of a dataset, where they stand, and what is wrong with one. */

/** Columns of a row as plain JSON data. */
export type Row = Record<string, unknown>;

/** Where a row stands. */
export interface Place {
  /** The file, or the name of the data in memory. */
  file: string;
  /** The line it begins on, from 1; of Parquet and of JSON columns, the row; 0 of rows in memory. */
  line: number;
  /** Which row of the file it is, from 1. */
  row: number;
}

/** A place for error messages: `"pairs.jsonl", line 3`, or `data, row 3` of rows in memory. */
export function placeInWords({ file, line, row }: Place): string {
  if (line === 0) return `${file}, row ${row}`;
  return `"${file}", line ${line}${row === line ? '' : ` (row ${row})`}`;
}

/** What is wrong with a row. */
export interface Fault {
  /** Such as `messages[2].role`; empty where the row as a whole is at fault. */
  field: string;
  /** What was expected there, and what was found. */
  reason: string;
}

/** A row that cannot be used: where it is, and what is wrong with it. */
export interface BadRow extends Place, Fault {}

/** What a reader finds at a line: a row, or why there is none. */
export type Found = { line: number; value: Row } | ({ line: number } & Fault);

/** A row longer than this is refused: V8 holds no text of twice the length. */
export const LONGEST_ROW = 2 ** 28;

export const TOO_LONG = `is longer than ${LONGEST_ROW / 2 ** 20} MiB; nothing after it was read`;

export const isRecord = (value: unknown): value is Row =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);

/** Deeper than any data; JSON.stringify fails at some thousands. */
export const DEEPEST = 100;

/** Whether lists and objects stand in one another more than so many levels. */
export function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

/** A value in a few words, for "expected …, got …". */
export function inWords(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') return value.length > 20 ? 'text' : JSON.stringify(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  return ArrayBuffer.isView(value) ? 'bytes that are not UTF-8' : 'an object';
}
