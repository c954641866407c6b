/** Prompts for a person to see what a model makes of them, taken from examples. */
import { encodeChat, type Message } from '../../lm/chat-template.ts';
import type { Tokenizer } from '../../lm/tokenizer.ts';
import type { Examples } from '../examples/examples.ts';
import { readSource, type Source } from '../training/input.ts';
import type { SamplePrompt } from '../training/samples.ts';

/** Of a text all of which is learned, the start is given: a quarter, but no more than so many tokens. */
const LONGEST_START = 16;

/** What of some examples is read before the first token that is learned, and what follows. */
export function samplePrompts(examples: Examples, count: number, tokenizer: Tokenizer): SamplePrompt[] {
  return Array.from({ length: Math.min(count, examples.lengths.length) }, (_, i) => {
    const { ids, learn } = examples.at(i);
    const all = Array.from(ids);
    const first = Array.from(learn ?? []).indexOf(1);
    const start = first > 1 ? first : Math.max(1, Math.min(LONGEST_START, Math.ceil(all.length / 4)));
    return { ids: all.slice(0, start), reference: tokenizer.decode(all.slice(start)) };
  });
}

/** The first prompts of a dataset that has any: of text, or of messages, which the assistant goes on from. */
export async function readPrompts(source: Source, count: number, tokenizer: Tokenizer): Promise<SamplePrompt[]> {
  const prompts: SamplePrompt[] = [];
  for await (const { value } of readSource(source, { accept: ['prompt-only', 'prompt-completion', 'preference'] })) {
    if (prompts.length >= count) break;
    const prompt = value.prompt as string | Message[];
    prompts.push({
      ids:
        typeof prompt === 'string'
          ? tokenizer.encode(prompt)
          : encodeChat(tokenizer, prompt, { addGenerationPrompt: true }).ids,
    });
  }
  return prompts;
}
