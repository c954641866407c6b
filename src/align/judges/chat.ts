/**
 * What goes on with conversations, by its text as commands take it:
 *
 * - a folder or a name on the Hub: a language model, which reads them as its chat template writes them;
 * - `https://api.example.com/v1#MODEL`: a model behind an endpoint such as OpenAI's, as most servers of language models have.
 */
import type { z } from 'zod';
import { opening } from '../../disposables.ts';
import { HeedError } from '../../error.ts';
import { encodeChat } from '../../lm/chat-template.ts';
import { createGenerator } from '../../lm/generate.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { loadModel, type Model } from '../../lm/model.ts';
import { answerLayout, createAnswerScorer } from '../policies/rollouts.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { isModel } from '../training/input.ts';
import { chatCallSchema, endpointChat } from './endpoint-chat.ts';
import type { Chat, Conversation, OpenChat } from './source.ts';

/** Who answers conversations, at hand: a chat, or a language model. */
export type ChatSource = Chat | Model;

/**
 * Opens who answers conversations, by a name or from what is at hand, which stays the caller's.
 *
 * @throws HeedError where it is not there, or is named wrongly.
 */
export async function openChat(
  source: string | ChatSource,
  pull: PullOptions = {},
  settings: z.input<typeof chatCallSchema> = {},
): Promise<OpenChat> {
  const parsed = chatCallSchema.parse(settings);
  if (isModel(source)) return modelChat(source);
  const lent = (chat: Chat): OpenChat => Object.assign(Object.create(chat) as Chat, { [Symbol.dispose]() {} });
  if (typeof source !== 'string') return lent(source);
  if (/^https?:\/\//.test(source)) return lent(endpointChat(source, parsed));
  return opening(async (own) => {
    const chat = own.use(modelChat(own.use(await loadModel(source, pull))));
    return { ...chat, [Symbol.dispose]: own[Symbol.dispose] };
  });
}

/** Conversations answered side by side, and rows of tokens read at once. */
const BATCH = 32;
const ROWS = 8;

/** A language model as who answers conversations. The model stays the caller's. */
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
    throw new HeedError(
      `"${name}" knows ${config.maxPositions} positions, and a conversation it was asked about has ${longest} tokens.`,
      { hint: 'Take a model that reads more, or ask about shorter texts.' },
    );
  };
  return {
    name,
    async complete(conversations, { maxTokens = 512, temperature = 1, seed = 0, signal } = {}) {
      const options = { maxTokens, temperature, seed, signal, batch: BATCH, ends, tokenizer };
      const answers = await generator.complete(prompts(conversations), options);
      return answers.map(({ text }) => text!.trim());
    },
    logProbs(conversations, texts) {
      const labels = encodedLabels(texts, model);
      const maxTokens = Math.max(...labels.map(({ length }) => length));
      const asked = prompts(conversations, maxTokens).map((ids) => ({ ids, text: '' }));
      const layout = answerLayout(model, asked, { rows: ROWS, maxTokens, answers: labels.length });
      const scorer = createAnswerScorer(config, parameters.values, layout);
      const answers = asked.flatMap(({ ids: prompt, text: promptText }) =>
        labels.map((response, i): Completion => ({ prompt, response, ended: true, promptText, text: texts[i] })),
      );
      try {
        const sums = scorer.run(answers).map((logProbs) => logProbs.reduce((sum, logP) => sum + logP, 0));
        return conversations.map((_, i) => sums.slice(i * texts.length, (i + 1) * texts.length));
      } finally {
        scorer[Symbol.dispose]();
      }
    },
    fits,
    [Symbol.dispose]: generator[Symbol.dispose],
  };
}

/** The tokens of texts. @throws HeedError where a model does not know them, or takes one for another. */
function encodedLabels(texts: readonly string[], { tokenizer }: Model): number[][] {
  const labels = texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
  const known = labels.every((ids, i) => tokenizer.decode(ids).trim().toLowerCase() === texts[i].toLowerCase());
  if (known && new Set(labels.map((ids) => ids.join())).size === texts.length) return labels;
  throw new HeedError(`The model's tokens do not tell ${texts.map((text) => `"${text}"`).join(' from ')}.`, {
    hint: 'Take a model that knows them: one that was trained on texts of every kind.',
  });
}
