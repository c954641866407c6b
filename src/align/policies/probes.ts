/**
 * Probes: leading prompts, which invite a policy to flatter or to agree with something wrong, with text that a sound
 * completion avoids. A policy that has learned to please fails more of them than the initial one (Sharma et al. 2023).
 */
import { HeedError } from '../../error.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import type { Source } from '../training/input.ts';
import type { EncodedPrompt } from './completion-batches.ts';
import { type PromptOptions, readPrompts } from './prompts.ts';

/** Reads prompts with a column `avoid`: a text, or several. @throws HeedError for a row without it. */
export async function readProbes(
  source: Source,
  tokenizer: Tokenizer,
  options: PromptOptions,
): Promise<EncodedPrompt[]> {
  const probes = await readPrompts(source, tokenizer, options);
  const bad = probes.findIndex(({ row }) => {
    const texts = avoided(row?.avoid);
    return texts.length === 0 || texts.some((text) => typeof text !== 'string' || text === '');
  });
  if (bad < 0) return probes;
  throw new HeedError(`Probe ${bad + 1} of "${source.name}" has no text in the column "avoid".`, {
    hint: 'Give each row a column "avoid": a text that a sound completion does not contain, or a list of texts.',
  });
}

const avoided = (value: unknown): unknown[] => (value === undefined || value === null ? [] : [value].flat());

/** Share of the completions of probes that contain a text to avoid, ignoring case. */
export function failedProbes(completions: readonly Completion[]): number {
  const failed = completions.filter(({ text, row }) =>
    avoided(row?.avoid).some((what) => text.toLowerCase().includes(String(what).toLowerCase())),
  );
  return failed.length / completions.length;
}
