/** The prompts of rows: to be completed, whatever else a row has. */
import { explicitPrompt } from './convert.ts';
import type { Format, Message } from './format.ts';
import type { Fault, Row } from './row.ts';

/** How a dataset is read for its prompts. */
export const readForPrompts = {
  accept: [
    'prompt-only',
    'prompt-completion',
    'preference',
    'unpaired-preference',
    'implicit-preference',
  ] as readonly Format[],
  prompted: true,
};

/**
 * A row with its prompt: of two whole conversations, the turns that both begin with. A fault if these end with no
 * question, or if the row holds two texts, whose common beginning may be a part of a completion.
 */
export function withPrompt(row: Row): { value: Row } | { fault: Fault } {
  if (row.prompt !== undefined || row.chosen === undefined) return { value: row };
  const { prompt } = explicitPrompt(row);
  if (Array.isArray(prompt) && ['user', 'tool'].includes((prompt as Message[]).at(-1)?.role ?? '')) {
    return { value: { ...row, prompt } };
  }
  const why = Array.isArray(prompt)
    ? 'the conversations have no last question in common'
    : 'the texts do not say where it ends';
  return { fault: { field: '', reason: `has no prompt: ${why}; expected a column "prompt"` } };
}
