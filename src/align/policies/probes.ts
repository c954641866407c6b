/**
 * Probes: prompts that try to lead a policy astray (to flatter, to agree with what is wrong), with what a sound answer does not
 * say. A policy that has learned to please says it more often than the one it began as (Sharma et al. 2023).
 */
import { HeedError } from '../../error.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import type { Source } from '../training/input.ts';
import { type PromptOptions, readPrompts } from './prompts.ts';
import type { Prompt } from './rollouts.ts';

/** Prompts with a column `avoid`: a text, or several. Throws a HeedError for a row without. */
export async function readProbes(source: Source, tokenizer: Tokenizer, options: PromptOptions): Promise<Prompt[]> {
  const probes = await readPrompts(source, tokenizer, options);
  const bad = probes.findIndex(({ row }) => {
    const texts = avoided(row?.avoid);
    return texts.length === 0 || texts.some((text) => typeof text !== 'string' || text === '');
  });
  if (bad < 0) return probes;
  throw new HeedError(`Probe ${bad + 1} of "${source.name}" does not say what an answer is to avoid.`, {
    hint: 'Give each row a column "avoid": a text that a sound answer does not have, or a list of such.',
  });
}

const avoided = (value: unknown): unknown[] => (value === undefined || value === null ? [] : [value].flat());

/** Share of the answers to probes that say, in whatever case, what they were to avoid. */
export function failedProbes(answers: readonly Completion[]): number {
  const failed = answers.filter(({ text, row }) =>
    avoided(row?.avoid).some((what) => text.toLowerCase().includes(String(what).toLowerCase())),
  );
  return failed.length / answers.length;
}
