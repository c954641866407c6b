/** The content of a row: its parts, and keys that identify equal content. */
import { createHash } from '../node.ts';
import type { Format, Message } from './format.ts';
import type { Row } from './row.ts';

const parts: Record<Format, readonly string[]> = {
  'language-modeling': ['messages', 'text'],
  'prompt-completion': ['prompt', 'completion'],
  'prompt-only': ['prompt'],
  preference: ['prompt', 'chosen', 'rejected'],
  'implicit-preference': ['chosen', 'rejected'],
  'unpaired-preference': ['prompt', 'completion', 'label'],
  stepwise: ['prompt', 'completions', 'labels'],
};

/** The text of each part; for messages, their contents, one per line. */
export function textsOf(row: Row, format: Format): Map<string, string> {
  const texts = new Map<string, string>();
  for (const name of parts[format]) {
    const value = row[name];
    if (typeof value === 'string') texts.set(name, value);
    else if (Array.isArray(value) && name !== 'labels') texts.set(name, value.map(textOf).join('\n'));
  }
  return texts;
}

const textOf = (part: string | Message) => (typeof part === 'string' ? part : (part.content ?? ''));

/** Equal for rows with identical content, whatever their other columns. */
export function exactKey(row: Row, format: Format): number {
  return hash(JSON.stringify(parts[format].map((name) => row[name])));
}

/** Equal for rows whose content differs only in case, spaces and punctuation. */
export function nearKey(row: Row, format: Format): number {
  return hash(Array.from(textsOf(row, format).values(), normalized).join('\0'));
}

/** Equal for rows whose prompts differ only in case, spaces and punctuation; undefined without a prompt. */
export function promptKey(row: Row, format: Format): number | undefined {
  const { messages, prompt } = row;
  if (format !== 'language-modeling') return prompt ? hash(normalized(textsOf(row, format).get('prompt')!)) : undefined;
  if (!Array.isArray(messages)) return undefined;
  const last = (messages as Message[]).findLastIndex(({ role }) => role === 'assistant');
  return last < 1 ? undefined : hash(normalized(messages.slice(0, last).map(textOf).join('\n')));
}

function normalized(text: string): string {
  const plain = text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, ' ')
    .trim();
  return plain === '' ? text : plain; // punctuation alone is compared exactly
}

/** 53 bits of SHA-256, which fit a number: among ten million, a collision has a chance of one in 180. */
function hash(text: string): number {
  const digest = createHash('sha256').update(text).digest();
  return digest.readUInt32LE(0) * 2 ** 21 + (digest.readUInt32LE(4) >>> 11);
}
