/** JSON Lines: one object per line. */
import { messageOf } from '../error.ts';
import { type Chunks, linesOf, textOf } from './bytes.ts';
import { type Found, isRecord, valueInWords } from './row.ts';

/** Every line except blank ones. */
export async function* readJsonl(chunks: Chunks): AsyncGenerator<Found> {
  for await (const { line, bytes } of linesOf(chunks)) {
    const found = parseRow(bytes, line);
    if (found) yield found;
  }
}

/** Parses a row of JSON; undefined if it is blank. */
export function parseRow(bytes: Uint8Array, line: number): Found | undefined {
  const text = textOf(bytes);
  if (text === undefined) return { line, field: '', reason: 'is not UTF-8' };
  if (text.trim() === '') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return { line, value };
    return { line, field: '', reason: `expected an object, got ${valueInWords(value)}` };
  } catch (error) {
    return { line, field: '', reason: `is not JSON: ${messageOf(error)}` };
  }
}
