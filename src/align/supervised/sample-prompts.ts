/** Prompts whose completions are shown at evaluations, from examples or from a dataset. */

import type { Tokenizer } from '../../lm/tokenizer.ts';
import { encodePrompt } from '../examples/encode.ts';
import type { Examples } from '../examples/examples.ts';
import { readSource, type Source } from '../training/input.ts';
import type { SamplePrompt } from '../training/samples.ts';

/** If a text is learned as a whole, its first quarter is the prompt, at most this many tokens. */
const LONGEST_START = 16;

/** Prompts from examples: the tokens before the first learned one; what follows is the reference. */
export function samplePrompts(examples: Examples, count: number, tokenizer: Tokenizer): SamplePrompt[] {
  return Array.from({ length: Math.min(count, examples.lengths.length) }, (_, i) => {
    const { ids, learn } = examples.at(i);
    const all = Array.from(ids);
    const first = Array.from(learn ?? []).indexOf(1);
    const start = first > 1 ? first : Math.max(1, Math.min(LONGEST_START, Math.ceil(all.length / 4)));
    return { ids: all.slice(0, start), reference: tokenizer.decode(all.slice(start)) };
  });
}

/** The first `count` prompts of a dataset, of text or of messages. */
export async function readSamplePrompts(source: Source, count: number, tokenizer: Tokenizer): Promise<SamplePrompt[]> {
  const prompts: SamplePrompt[] = [];
  for await (const { value } of readSource(source, { accept: ['prompt-only', 'prompt-completion', 'preference'] })) {
    if (prompts.length >= count) break;
    prompts.push({ ids: encodePrompt({ prompt: value.prompt }, tokenizer) });
  }
  return prompts;
}
