/** Draws completions of prompts from a model, by a seed. */
import type { Generator } from '../../lm/generate.ts';
import type { Model } from '../../lm/model.ts';
import { neverDrawn } from '../agents/evaluate.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import type { EncodedPrompt } from './completion-batches.ts';

interface DrawOptions {
  /** Maximum tokens of a completion. */
  maxTokens: number;
  temperature: number;
  /** Sequences generated at once. */
  batch: number;
  seed: number;
  signal?: AbortSignal | undefined;
}

/** A completion of each prompt, each with its own random draws. BOS and padding tokens are suppressed. */
export async function drawCompletions(
  generator: Generator,
  { tokenizer, ends }: Pick<Model, 'tokenizer' | 'ends'>,
  prompts: readonly EncodedPrompt[],
  options: DrawOptions,
): Promise<Completion[]> {
  const suppress = neverDrawn({ tokenizer, ends });
  const completions = await generator.complete(
    prompts.map(({ ids }) => ids),
    { ...options, suppress, ends, tokenizer },
  );
  return completions.map(({ ids: response, finish, text }, i): Completion => {
    const { ids: prompt, text: promptText, row } = prompts[i];
    return { prompt, response, ended: finish === 'eos', promptText, text: text!, row };
  });
}
