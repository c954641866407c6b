/** Answers of a model to prompts, drawn from a seed. */
import type { Generator } from '../../lm/generate.ts';
import type { Model } from '../../lm/model.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import type { Prompt } from './rollouts.ts';

interface DrawOptions {
  /** Tokens of an answer at most. */
  maxTokens: number;
  temperature: number;
  /** Sequences answered side by side. */
  batch: number;
  seed: number;
  signal?: AbortSignal;
}

/** An answer to each prompt, by its own draws. Tokens that only begin or pad a text are never in one. */
export async function drawAnswers(
  generator: Generator,
  { tokenizer, ends }: Pick<Model, 'tokenizer' | 'ends'>,
  prompts: readonly Prompt[],
  options: DrawOptions,
): Promise<Completion[]> {
  const suppress = [tokenizer.bos, tokenizer.pad].filter((id) => id !== undefined && !ends.includes(id)) as number[];
  const completions = await generator.complete(
    prompts.map(({ ids }) => ids),
    { ...options, suppress, ends, tokenizer },
  );
  return completions.map(({ ids: response, finish, text }, i): Completion => {
    const { ids: prompt, text: promptText, row } = prompts[i];
    return { prompt, response, ended: finish === 'eos', promptText, text: text!, row };
  });
}
