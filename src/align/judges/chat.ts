/**
 * Chat models by name, as commands take them:
 *
 * - a folder, a GGUF file or a name on the Hub: a language model with a chat template;
 * - `https://api.example.com/v1#MODEL`: a model behind an endpoint compatible with OpenAI's.
 */

import type { z } from 'zod';
import { opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { type TemplateOptions, templatedModel } from '../../lm/built-in-templates.ts';
import { encodeChat } from '../../lm/chat-template.ts';
import { createGenerator } from '../../lm/generate.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { parseOptions } from '../../options.ts';
import { completionLayout, createCompletionScorer } from '../policies/completion-batches.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { endpointCallSchema } from '../training/endpoint.ts';
import { isModel } from '../training/input.ts';
import { endpointChat } from './endpoint-chat.ts';
import type { Chat, Conversation, OpenChat } from './source.ts';

/** A chat model as a value: a chat, or a language model. */
export type ChatSource = Chat | Model;

/**
 * Opens a chat model by name, or wraps a value, which stays the caller's.
 *
 * @param settings Timeouts, retries and the key of an endpoint.
 * @param template With it, a model without a chat template adopts one (see `withChatTemplate`).
 * @throws HeedError when the model does not exist or the name is invalid.
 */
export async function openChat(
  source: string | ChatSource,
  pull: PullOptions = {},
  settings: z.input<typeof endpointCallSchema> = {},
  template?: TemplateOptions & { onNotice?: (text: string) => void },
): Promise<OpenChat> {
  const parsed = parseOptions(endpointCallSchema, settings);
  const templated = (model: Model) => (template ? templatedModel(model, template, template.onNotice) : model);
  if (isModel(source)) return modelChat(templated(source));
  const lent = (chat: Chat): OpenChat => Object.assign(Object.create(chat) as Chat, { [Symbol.dispose]() {} });
  if (typeof source !== 'string') return lent(source);
  if (/^https?:\/\//.test(source)) return lent(endpointChat(source, parsed));
  return opening(async (own) => {
    const chat = own.use(modelChat(templated(own.use(await loadModel(source, pull)))));
    return { ...chat, [Symbol.dispose]: own[Symbol.dispose] };
  });
}

/** Conversations completed at once, and rows of tokens scored at once. */
const BATCH = 32;
const ROWS = 8;

/** A language model as a chat. The model stays the caller's. */
export function modelChat(model: Model): OpenChat & Required<Chat> {
  const { config, parameters, tokenizer, ends } = model;
  const generator = createGenerator(config, parameters.values);
  const name = model.folder ?? 'model';
  const encoded = (conversation: Conversation) =>
    encodeChat(tokenizer, conversation, { addGenerationPrompt: true }).ids;
  const fits = (conversation: Conversation) => encoded(conversation).length < config.maxPositions;
  const prompts = (conversations: readonly Conversation[], room = 1) => {
    const all = conversations.map(encoded);
    const longest = all.reduce((most, { length }) => Math.max(most, length), 0);
    if (longest + room <= config.maxPositions) return all;
    throw new HeedError(`"${name}" has ${config.maxPositions} positions, but a conversation has ${longest} tokens.`, {
      hint: 'Use a model with more positions, or shorter texts.',
    });
  };
  return {
    name,
    async complete(conversations, { maxTokens = 512, temperature = 1, seed = 0, signal } = {}) {
      const options = { maxTokens, temperature, seed, signal, batch: BATCH, ends, tokenizer };
      const completions = await generator.complete(prompts(conversations), options);
      return completions.map(({ text }) => text!.trim());
    },
    async logProbs(conversations, texts) {
      const labels = encodedLabels(texts, model);
      const maxTokens = Math.max(...labels.map(({ length }) => length));
      const encodedPrompts = prompts(conversations, maxTokens).map((ids) => ({ ids, text: '' }));
      const layout = completionLayout(model, encodedPrompts, { rows: ROWS, maxTokens, completions: labels.length });
      const scorer = createCompletionScorer(config, parameters.values, layout);
      const completions = encodedPrompts.flatMap(({ ids: prompt, text: promptText }) =>
        labels.map((response, i): Completion => ({ prompt, response, ended: true, promptText, text: texts[i] })),
      );
      try {
        const sums = (await scorer.run(completions)).map((logProbs) => logProbs.reduce((sum, logP) => sum + logP, 0));
        return conversations.map((_, i) => sums.slice(i * texts.length, (i + 1) * texts.length));
      } finally {
        scorer[Symbol.dispose]();
      }
    },
    fits,
    [Symbol.dispose]: generator[Symbol.dispose],
  };
}

/** The tokens of texts. @throws HeedError when the vocabulary lacks one of them, or two have the same tokens. */
function encodedLabels(texts: readonly string[], { tokenizer }: Model): number[][] {
  const labels = texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
  const readable = labels.every((ids, i) => tokenizer.decode(ids).trim().toLowerCase() === texts[i].toLowerCase());
  if (readable && new Set(labels.map((ids) => ids.join())).size === texts.length) return labels;
  throw new HeedError(`The model's tokens do not distinguish ${texts.map((text) => `"${text}"`).join(' from ')}.`, {
    hint: 'Use a model with a general vocabulary.',
  });
}
