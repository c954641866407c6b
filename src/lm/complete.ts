/** Completions in one line: prompts in, texts out. */
import { z } from 'zod';
import { PRECISIONS, type PrecisionChoice, resolvePrecision } from '../engine/precision.ts';
import { HeedError } from '../error.ts';
import { parseOptions, wholeNumber } from '../options.ts';
import { encodeChat } from './chat-template.ts';
import type { Checkpoint } from './checkpoint.ts';
import { createGenerator, type GenerateOptions, type GeneratorOptions, generateSchema } from './generate.ts';
import type { ChatMessage } from './render-chat.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A text, or a conversation in which the assistant speaks next. */
export type Prompt = string | readonly ChatMessage[];

/**
 * Options of `model.generate`: sampling (`temperature`, `topK`, `topP`, …), `maxTokens`, `seed`, `stop`, `batch`,
 * `speculate` and `signal`.
 */
export interface CompletionOptions
  extends Omit<GenerateOptions, 'tokenizer' | 'stream'>,
    Pick<GeneratorOptions, 'speculate'> {
  /**
   * Whether a text is the user's turn of a conversation, which the chat template writes. Default: true if the tokenizer
   * has a chat template. Otherwise the model continues the text, as it does with data whose prompts are text.
   */
  chat?: boolean;
  /** What the linear layers compute with: fp32 (the default), bf16, or auto (bf16 where it is faster). */
  precision?: PrecisionChoice;
}

/** All options of `model.generate`, to refuse others. */
const completionSchema = generateSchema.extend({
  chat: z.boolean().optional(),
  precision: z.enum(PRECISIONS).optional(),
  ends: z.array(wholeNumber(0)).optional(),
  stop: z.array(z.string()).optional(),
  topLogprobs: wholeNumber(0).optional(),
  processor: z.unknown().optional(),
  speculate: z.unknown().optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

/**
 * The model's completion of each prompt, in order, without special tokens and surrounding space.
 *
 * @throws HeedError if a prompt is empty or longer than the model's positions, or a conversation needs a chat template
 * that the tokenizer lacks, or this machine lacks the precision; the signal's reason if it aborts.
 */
export async function complete(
  model: Pick<Checkpoint, 'config' | 'parameters'> & { tokenizer: Tokenizer; ends: readonly number[] },
  prompts: readonly Prompt[],
  input: CompletionOptions = {},
): Promise<string[]> {
  parseOptions(completionSchema, input);
  const { chat = model.tokenizer.chatTemplate !== undefined, speculate, precision = 'fp32', ...options } = input;
  const { config, parameters, tokenizer, ends } = model;
  const ids = prompts.map((prompt, i) => {
    if (typeof prompt !== 'string' && !(Array.isArray(prompt) && isConversation(prompt))) throw notAPrompt(prompt, i);
    if (typeof prompt === 'string' && !chat) return tokenizer.encode(prompt);
    const messages: readonly ChatMessage[] = typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
    return encodeChat(tokenizer, messages, { addGenerationPrompt: true }).ids;
  });
  const generator = createGenerator(config, parameters.values, {
    speculate,
    precision: resolvePrecision(precision, config.hiddenSize),
  });
  try {
    const completions = await generator.complete(ids, { ends, ...options, tokenizer });
    return completions.map(({ text }) => text!.trim());
  } finally {
    generator[Symbol.dispose]();
  }
}

/** The error for what is neither a text nor a conversation. */
export function notAPrompt(prompt: unknown, index: number): HeedError {
  const got = Array.isArray(prompt) ? 'an empty conversation' : `${prompt === null ? 'null' : typeof prompt}`;
  return new HeedError(`prompt ${index + 1} is ${got}: expected a text, or a conversation`, {
    hint: "pass 'Hello', or [{ role: 'user', content: 'Hello' }], or a list of either",
  });
}

/** Whether a value is one conversation, and not a list of prompts. @throws HeedError if it is neither. */
export function isConversation(prompt: readonly unknown[]): prompt is readonly ChatMessage[] {
  if (prompt.length === 0) return false;
  const messages = prompt.filter((item) => typeof item === 'object' && item !== null && 'role' in item);
  if (messages.length === 0 || messages.length === prompt.length) return messages.length > 0;
  throw new HeedError('Prompts and messages are mixed in one list.', {
    hint: 'Give a text, a conversation (a list of messages), or a list of either.',
  });
}
