/** JSON Lines: one object per line. */
import { messageOf } from '../error.ts';
import { type ExactNumber, mayHaveExact, parseExact, roundExact } from '../exact-number.ts';
import { type Chunks, linesOf, textOfBytes } from './bytes.ts';
import { type Found, isRecord, type Row, valueInWords } from './row.ts';

/** Every line except blank ones. */
export async function* readJsonl(chunks: Chunks): AsyncGenerator<Found> {
  for await (const { line, bytes } of linesOf(chunks)) {
    const found = parseRow(bytes, line);
    if (found) yield found;
  }
}

/** Parses a row of JSON; undefined if it is blank. */
export function parseRow(bytes: Uint8Array, line: number): Found | undefined {
  const text = textOfBytes(bytes);
  if (text === undefined) return { line, field: '', reason: 'is not UTF-8' };
  if (text.trim() === '') return undefined;
  try {
    const value = parseExact(text);
    if (isRecord(value)) return { line, value: mayHaveExact(text) ? withPlainNumbers(value) : value };
    return { line, field: '', reason: `expected an object, got ${valueInWords(value)}` };
  } catch (error) {
    return { line, field: '', reason: `is not JSON: ${messageOf(error)}` };
  }
}

/**
 * Numbers stay as they are written in messages and tools, which models read. Elsewhere, where numbers are for computing,
 * only an integer beyond 2⁵³ does: it is an identifier.
 */
const withPlainNumbers = (row: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      roundExact(value, READ_BY_MODELS.has(name) ? () => true : isIdentifier),
    ]),
  );

const READ_BY_MODELS = new Set(['messages', 'conversations', 'prompt', 'completion', 'chosen', 'rejected', 'tools']);
const isIdentifier = ({ text }: ExactNumber) => /^-?\d{16,}$/.test(text);
