/**
 * Conversations as a model reads them: messages → text, by the model's Jinja template → tokens, with a mask of those
 * that the assistant wrote. Follows Transformers' `apply_chat_template` (`render_jinja_template`,
 * `return_assistant_tokens_mask`).
 */

import { HeedError, messageOf } from '../error.ts';
import { compileTemplate, type JinjaTemplate, type Rendered } from './tokenizer/jinja.ts';
import type { Offsets } from './tokenizer/offsets.ts';
import type { Tokenizer } from './tokenizer.ts';

/** One turn of a conversation. Templates may read further fields. */
export interface ChatMessage {
  /** Who speaks: mostly "system", "user", "assistant" or "tool". */
  role: string;
  /** The message's text, or its parts; absent if it only calls tools. */
  content?: string | readonly MessagePart[] | null;
  readonly [field: string]: unknown;
}

/** A part of a message, for templates that expect a list: `{ type: 'text', text: '…' }`. */
export interface MessagePart {
  /** The kind of part, such as "text". */
  type: string;
  readonly [field: string]: unknown;
}

/** What a chat template is rendered with, besides the messages. */
export interface RenderOptions {
  /** Ends the text where the assistant's next turn begins. */
  addGenerationPrompt?: boolean;
  /** Tools the assistant may call, as JSON schemas of functions. */
  tools?: readonly unknown[];
  /** Documents for templates that cite sources. */
  documents?: readonly unknown[];
  /** Text of the token that begins a sequence. */
  bosToken?: string;
  /** Text of the token that ends a sequence. */
  eosToken?: string;
  /** Further variables of the template by name, such as `enable_thinking`. */
  variables?: Readonly<Record<string, unknown>>;
  /** The current time, for templates that write today's date. */
  now?: Date;
}

/**
 * The text of a conversation.
 *
 * @throws HeedError if the template cannot be read, or refuses the conversation: many require user and assistant to
 * alternate.
 */
export function renderChat(template: string, messages: readonly ChatMessage[], options: RenderOptions = {}): string {
  return render(template, messages, options).text;
}

/**
 * The text of a conversation, and the spans [start, end) (UTF-16) that the assistant wrote: those in the template's `{%
 * generation %}` blocks or, if it has none, what each assistant turn adds to the conversation before it. A message with
 * `weight: 0` has no span.
 *
 * @throws HeedError if a template without such blocks writes earlier turns differently as the conversation continues.
 */
export function renderAssistantSpans(
  template: string,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
): { text: string; spans: Offsets } {
  const { text, generation } = render(template, messages, options);
  if (compiled(template).marksGeneration) return { text, spans: weighted(generation, messages) };

  const upTo = (end: number, addGenerationPrompt: boolean) =>
    renderChat(template, messages.slice(0, end), { ...options, addGenerationPrompt });
  const spans = messages.flatMap(({ role, weight }, i): Offsets => {
    if (role !== 'assistant' || weight === 0) return [];
    const before = i === 0 ? '' : upTo(i, false);
    const start = commonPrefix(i === 0 ? '' : upTo(i, true), text);
    const turn = upTo(i + 1, false);
    if (!text.startsWith(before) || !text.startsWith(turn) || start < before.length || start > turn.length) {
      throw new HeedError(
        `The chat template does not say what the assistant wrote: it has no {% generation %} blocks, and writes message ${i + 1} differently as the conversation goes on.`,
        {
          hint: 'Put {% generation %} and {% endgeneration %} around what the assistant writes, or train on whole texts.',
        },
      );
    }
    // what a template writes after the end of a turn (a line break) is not the assistant's
    const { eosToken } = options;
    const eos = eosToken ? text.lastIndexOf(eosToken, turn.length - eosToken.length) : -1;
    return [[start, eos >= start ? eos + eosToken!.length : turn.length]];
  });
  return { text, spans };
}

/** The spans of the assistant's messages, less those of weight 0. */
function weighted(spans: Offsets, messages: readonly ChatMessage[]): Offsets {
  const spoken = messages.filter(({ role }) => role === 'assistant');
  if (spoken.every(({ weight }) => weight !== 0)) return spans;
  if (spoken.length === spans.length) return spans.filter((_, i) => spoken[i].weight !== 0);
  throw new HeedError(
    `A message has the weight 0, but the chat template marks ${spans.length} parts of its ${spoken.length} assistant messages.`,
    {
      hint: 'Leave the weights out, or use a template that marks each message once.',
    },
  );
}

/** The template of a tokenizer, with or without tools. @throws HeedError if it has none. */
function templateOf(tokenizer: Tokenizer, tools: readonly unknown[] | undefined): string {
  const { tool_use: withTools } = tools ? tokenizer.chatTemplates : {};
  const template = withTools ?? tokenizer.chatTemplate ?? tokenizer.adoptTemplate?.();
  if (template !== undefined) return template;
  throw new HeedError('The tokenizer has no chat template, so it cannot write a conversation.', {
    hint: 'Use a chat model, name a template (--chatTemplate plain), or pass prompts and completions as text.',
  });
}

/** The text of a conversation, by its tokenizer's template. Throws as `renderChat` does. */
export const chatText = (tokenizer: Tokenizer, messages: readonly ChatMessage[], options: RenderOptions = {}): string =>
  renderChat(templateOf(tokenizer, options.tools), messages, { ...specialTokens(tokenizer), ...options });

/**
 * The tokens of a conversation, by its tokenizer's template. With `assistantMask`, also a 1 for each token with a
 * character that the assistant wrote, and a 0 for the others. Throws as `renderChat` and `renderAssistantSpans` do.
 */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  { assistantMask = false, ...rendering }: RenderOptions & { assistantMask?: boolean } = {},
): { ids: number[]; assistantMask?: number[] } {
  // the template writes the special tokens itself, so the tokenizer adds none
  if (!assistantMask) {
    return { ids: tokenizer.encode(chatText(tokenizer, messages, rendering), { addSpecialTokens: false }) };
  }
  const options = { ...specialTokens(tokenizer), ...rendering };
  const { text, spans } = renderAssistantSpans(templateOf(tokenizer, rendering.tools), messages, options);
  const { ids, offsets } = tokenizer.encodeWithOffsets(text);
  return {
    ids,
    assistantMask: offsets.map(([start, end]) => Number(spans.some(([from, to]) => start < to && end > from))),
  };
}

function specialTokens({ bos, eos, tokenOf }: Tokenizer): RenderOptions {
  return {
    bosToken: bos === undefined ? undefined : tokenOf(bos),
    eosToken: eos === undefined ? undefined : tokenOf(eos),
  };
}

function render(template: string, messages: readonly ChatMessage[], options: RenderOptions): Rendered {
  const { addGenerationPrompt = false, tools, documents, bosToken, eosToken, variables, now = new Date() } = options;
  try {
    return compiled(template).render(
      {
        messages,
        tools: tools ?? null,
        documents: documents ?? null,
        add_generation_prompt: addGenerationPrompt,
        bos_token: bosToken,
        eos_token: eosToken,
        ...variables,
      },
      now,
    );
  } catch (error) {
    if (error instanceof HeedError) throw error;
    throw new HeedError(`The chat template cannot write this conversation: ${messageOf(error)}`, {
      hint: `It got ${messages.length === 1 ? 'one message' : `${messages.length} messages`}, of ${messages.map(({ role }) => role).join(', ') || 'nobody'}. Change them to what the template takes.`,
      cause: error,
    });
  }
}

const templates = new Map<string, JinjaTemplate>();

/** Templates are compiled once: a dataset has as many conversations as rows. */
function compiled(source: string): JinjaTemplate {
  let template = templates.get(source);
  if (!template) {
    try {
      template = compileTemplate(source);
    } catch (error) {
      throw new HeedError(`The chat template cannot be read: ${messageOf(error)}`, {
        hint: 'Check the Jinja of chat_template.jinja, or of chat_template in tokenizer_config.json.',
        cause: error,
      });
    }
    templates.set(source, template);
  }
  return template;
}

function commonPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
