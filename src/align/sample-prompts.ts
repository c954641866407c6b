/** Prompts for a person to see what a model makes of them, taken from examples. */
import type { Tokenizer } from '../lm/tokenizer.ts';
import type { Examples } from './examples.ts';
import type { SamplePrompt } from './learner.ts';

/** Of a text all of which is learnt, the start is given: a quarter, but no more than so many tokens. */
const LONGEST_START = 16;

/** What of some examples is read before the first token that is learnt, and what follows. */
export function samplePrompts(examples: Examples, count: number, tokenizer: Tokenizer): SamplePrompt[] {
  return Array.from({ length: Math.min(count, examples.lengths.length) }, (_, i) => {
    const { ids, learn } = examples.at(i);
    const all = Array.from(ids);
    const first = Array.from(learn ?? []).indexOf(1);
    const start = first > 1 ? first : Math.max(1, Math.min(LONGEST_START, Math.ceil(all.length / 4)));
    return { ids: all.slice(0, start), reference: tokenizer.decode(all.slice(start)) };
  });
}
