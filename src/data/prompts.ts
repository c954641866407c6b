/** The prompts of rows: to be completed, whatever else a row has. */
import { HeedError } from '../error.ts';
import { explicitPrompt } from './convert.ts';
import type { Format, Message } from './format.ts';
import type { Row } from './row.ts';

/** Formats whose rows have a prompt. */
export const promptFormats: readonly Format[] = [
  'prompt-only',
  'prompt-completion',
  'preference',
  'unpaired-preference',
  'implicit-preference',
];

/**
 * A row with its prompt: of two whole conversations, what they have in common.
 *
 * @throws HeedError if they have no question in common, or are texts, whose common beginning may be a part of an answer.
 */
export function withPrompt(row: Row): Row {
  if (row.prompt !== undefined || row.chosen === undefined) return row;
  const { prompt } = explicitPrompt(row);
  if (Array.isArray(prompt) && ['user', 'tool'].includes((prompt as Message[]).at(-1)?.role ?? '')) {
    return { ...row, prompt };
  }
  const why = Array.isArray(prompt)
    ? 'the conversations have no last question in common'
    : 'the texts do not say where it ends';
  throw new HeedError(`has no prompt: ${why}.`, { hint: 'Give the row a column "prompt".' });
}
