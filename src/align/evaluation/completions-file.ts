/** Completions from a dataset of prompts and completions, as the baseline of an evaluation. */

import { describeBadRow } from '../../data/dataset.ts';
import type { Row } from '../../data/row.ts';
import { HeedError } from '../../error.ts';
import type { ChatMessage } from '../../lm/render-chat.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import { existsSync, statSync } from '../../node.ts';
import type { EncodedPrompt } from '../policies/completion-batches.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { readSource, type Source } from '../training/input.ts';

/** Whether a name is a file of completions, not a model. */
export const isCompletionsFile = (name: string): boolean =>
  /\.(jsonl|json|csv|tsv|parquet)(\.gz)?$/.test(name) || (existsSync(name) && statSync(name).isFile());

/** The first completion of each prompt, by the prompt's messages. */
export async function readCompletions(
  source: Source,
  { onBadRow, onNotice }: { onBadRow: 'error' | 'skip'; onNotice?: (text: string) => void },
): Promise<Map<string, string>> {
  const completions = new Map<string, string>();
  const rows = readSource(source, {
    onBadRow,
    accept: ['prompt-completion', 'unpaired-preference'],
    onSkip: (row) => onNotice?.(`left out ${describeBadRow(row)}`),
  });
  for await (const { value } of rows) {
    const key = keyOf(value);
    if (!completions.has(key)) completions.set(key, textOf(value.completion as string | ChatMessage[]));
  }
  return completions;
}

/** A prompt that is text equals a conversation of one user message. */
function keyOf({ prompt }: Row): string {
  const messages = typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : (prompt as ChatMessage[]);
  return JSON.stringify(messages.map(({ role, content }) => [role, content]));
}

const textOf = (completion: string | ChatMessage[]): string =>
  typeof completion === 'string' ? completion : String(completion.at(-1)?.content ?? '');

/** @throws HeedError when a prompt has no completion in the file. */
export function checkCompletions(
  path: string,
  completions: ReadonlyMap<string, string>,
  prompts: readonly EncodedPrompt[],
): void {
  const without = prompts.filter(({ row }) => !completions.has(keyOf(row!)));
  if (without.length === 0) return;
  throw new HeedError(
    `"${path}" has no completion of ${without.length} of ${prompts.length} prompts, the first: "${without[0].text.slice(0, 80)}".`,
    { hint: 'Pass prompts that the file completes as --data, or pass the file itself.' },
  );
}

/** The file's completion of a prompt, as a reward takes it: in the tokens of the model that it is compared with. */
export function completionFor(
  completions: ReadonlyMap<string, string>,
  prompt: EncodedPrompt,
  tokenizer: Tokenizer,
): Completion {
  const { ids, text: promptText, row } = prompt;
  const text = completions.get(keyOf(row!))!;
  const response = tokenizer.encode(text, { addSpecialTokens: false });
  return { prompt: ids, response, ended: true, promptText, text, row };
}
