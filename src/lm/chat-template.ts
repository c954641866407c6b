/**
 * Conversations as a model reads them: messages → text, by the model's Jinja template → tokens, with a mask of those
 * that the assistant wrote. Follows Transformers' `apply_chat_template` (`render_jinja_template`,
 * `return_assistant_tokens_mask`).
 */

import { HeedError, messageOf } from '../error.ts';
import { mapLeaves, parseExact, stringifyExact } from '../exact-number.ts';
import { compileTemplate, type JinjaTemplate, type Rendered } from './tokenizer/jinja.ts';
import type { Offsets } from './tokenizer/offsets.ts';
import { markPlain, patternOf } from './tokenizer/plain-specials.ts';
import type { Tokenizer } from './tokenizer.ts';
import { parsedJson } from './tool-calls.ts';

type Span = Offsets[number];

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
  /** Texts of all tokens that end a response. Default: `eosToken`. */
  endTokens?: readonly string[];
  /**
   * Further variables of the template by name, such as `enable_thinking`. With `split_special_tokens: false`, special
   * tokens in messages are tokens; otherwise they are text. `strftime_now` is the date that it writes, as
   * 2026-11-26, in place of `now`.
   */
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
 * generation %}` blocks or, if it has none, what its loop over the messages writes for each of the assistant's, from
 * where a generation prompt ends to the end of the turn. A message with `weight: 0` has no span.
 *
 * @throws HeedError if a template without such blocks does not go through the messages one by one.
 */
export function renderAssistantSpans(
  template: string,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
): { text: string; spans: Offsets; unwritten: Unwritten[] } {
  if (compiled(template).marksGeneration) {
    const { text, generation } = render(template, messages, options);
    return { text, spans: weighted(generation, messages), unwritten: [] };
  }
  const { text, turns } = render(template, messages, options, true);
  const isSilent = (j: number) => turns.every((turn) => turn.message !== j);
  const silent = messages.findIndex(({ role }, j) => role !== 'system' && role !== 'assistant' && isSilent(j));
  const unwritten: Unwritten[] = [];
  const spans = messages.flatMap((message, i): Offsets => {
    if (message.role !== 'assistant' || message.weight === 0) return [];
    const others = turns.filter(({ message: j }) => j !== i && messages[j].role !== 'assistant');
    const pieces = others.reduce(
      (rest, { span }) => withoutSpan(rest, span),
      turns.filter((turn) => turn.message === i).map(({ span }): Span => [...span]),
    );
    if (pieces.length === 0) {
      throw unknownAuthor(
        `it has no {% generation %} blocks, and writes nothing in a loop over messages for number ${i + 1}`,
      );
    }
    if (pieces.some((span) => quotes(text.slice(...span), messages[silent], message))) {
      throw unknownAuthor(
        `it has no {% generation %} blocks, and writes message ${silent + 1} within message ${i + 1}`,
      );
    }
    const [first, last] = [pieces[0], pieces.at(-1)!];
    const left = leftOut(pieces.map((span) => text.slice(...span)).join(''), message);
    if (left.length > 0 && left.length === partsOf(message)) {
      throw new HeedError(`The chat template writes nothing of what the assistant says in message ${i + 1}.`, {
        hint: 'Use a template that writes calls of tools and contents as these are, or leave the row out.',
      });
    }
    unwritten.push(...left.map((what) => ({ message: i + 1, what })));
    const turn = text.slice(...first);
    first[0] += headerLength(turn, generationPrompt(template, messages, i, options));
    last[1] = endOfTurn(text, last, message, options);
    return pieces.filter(([start, end]) => end > start);
  });
  return { text, spans, unwritten };
}

/** Something of an assistant's message that a template does not write: its text, or its calls of tools. */
export interface Unwritten {
  /** Number of the message, from 1. */
  message: number;
  what: 'text' | 'calls';
}

const unknownAuthor = (why: string) =>
  new HeedError(`The chat template does not say what the assistant wrote: ${why}.`, {
    hint: 'Put {% generation %} and {% endgeneration %} around what the assistant writes, or train on whole texts.',
  });

/** Which parts of a message its turn lacks: the end of its text, or the name of a tool that it calls. */
function leftOut(turn: string, message: ChatMessage): Unwritten['what'][] {
  const words = wordsOf(message);
  const end = words.split(/[\n>]/).at(-1)!.trim() || words.slice(-20); // templates rewrite what is marked as thought
  const calls = (message.tool_calls ?? []) as readonly { function?: { name?: string } }[];
  return [
    ...(end !== '' && !turn.includes(end) ? ['text' as const] : []),
    ...(calls.some(({ function: called }) => called?.name && !turn.includes(called.name)) ? ['calls' as const] : []),
  ];
}

/** How many of `leftOut`'s parts a message has. */
const partsOf = (message: ChatMessage): number =>
  Number(wordsOf(message) !== '') + Number(Array.isArray(message.tool_calls) && message.tool_calls.length > 0);

/** Whether what was written for one message has the words of another. */
function quotes(turn: string, other: ChatMessage | undefined, { content }: ChatMessage): boolean {
  const words = other && wordsOf(other);
  return Boolean(words) && turn.replace(wordsOf({ role: '', content }), '').includes(words!);
}

/** The words of a message's text, or of its parts. */
function wordsOf({ content }: ChatMessage): string {
  const parts = typeof content === 'string' ? [content] : (content ?? []).map(({ text }) => String(text ?? ''));
  return parts.join('').trim();
}

const withoutSpan = (spans: Offsets, [from, to]: Span): Offsets =>
  spans.flatMap(([start, end]): Offsets => {
    if (to <= start || from >= end) return [[start, end]];
    const rest: Offsets = [
      [start, from],
      [to, end],
    ];
    return rest.filter(([one, other]) => other > one);
  });

/**
 * What a template writes to begin the assistant's turn at `messages[index]`. Many templates refuse some conversations
 * that end in the middle, so other ends are tried.
 */
function generationPrompt(
  template: string,
  messages: readonly ChatMessage[],
  index: number,
  options: RenderOptions,
): string {
  const ends = [messages.slice(0, index), messages, [{ role: 'user', content: 'Hi' }]];
  for (const conversation of ends.filter(({ length }) => length > 0)) {
    try {
      const { text, turns } = render(template, conversation, { ...options, addGenerationPrompt: true }, true);
      const last = turns.at(-1);
      const after = last?.message === conversation.length - 1 ? text.slice(last.span[1]) : '';
      if (after.trim()) return after;
      const without = renderChat(template, conversation, { ...options, addGenerationPrompt: false });
      return text.slice(commonPrefix(text, without));
    } catch (error) {
      if (!(error instanceof HeedError)) throw error;
    }
  }
  return '';
}

/** How many characters precede what the assistant writes: a turn begins with the generation prompt, or has it later. */
function headerLength(turn: string, prompt: string): number {
  const shared = commonPrefix(turn, prompt);
  if (shared === prompt.length) return shared;
  const later = turn.indexOf(prompt);
  if (later > 0) return later + prompt.length;
  return /[\s\S]*[\s>\]:|]|/.exec(turn.slice(0, shared))![0].length; // up to a mark or a blank, where both go apart
}

/** Where the assistant's turn ends: at the template's mark, with a token that ends texts, or else with what is written. */
function endOfTurn(text: string, [start, end]: Span, message: ChatMessage, options: RenderOptions): number {
  const { eosToken, endTokens = eosToken ? [eosToken] : [] } = options;
  const written = text.slice(start, end).trimEnd();
  const token = endTokens.find((one) => text.startsWith(one, end));
  if (token && !endTokens.some((one) => written.endsWith(one))) return end + token.length;
  const words = wordsOf(message);
  return words !== '' && written.endsWith(words) ? end : start + written.length;
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
    hint: 'Use a chat model, name a template (--chat-template plain), or pass prompts and completions as text.',
  });
}

/** The text of a conversation, by its tokenizer's template. Throws as `renderChat` does. */
export const chatText = (tokenizer: Tokenizer, messages: readonly ChatMessage[], options: RenderOptions = {}): string =>
  write(tokenizer, messages, options, renderChat);

/** Tokens of a conversation, and which of them are the assistant's. */
export interface EncodedChat {
  ids: number[];
  /** 1 for each token with a character that the assistant wrote, 0 for the others; where it was asked for. */
  assistantMask?: number[];
  /** What the template leaves out of the assistant's messages; where the mask was asked for. */
  unwritten?: Unwritten[];
}

/**
 * The tokens of a conversation, by its tokenizer's template. With `assistantMask`, also who wrote them. Throws as
 * `renderChat` and `renderAssistantSpans` do.
 */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  { assistantMask = false, ...rendering }: RenderOptions & { assistantMask?: boolean } = {},
): EncodedChat {
  // the template writes the special tokens itself, so the tokenizer adds none
  if (!assistantMask) {
    return { ids: tokenizer.encode(chatText(tokenizer, messages, rendering), { addSpecialTokens: false }) };
  }
  const { text, spans, unwritten } = write(tokenizer, messages, rendering, renderAssistantSpans);
  const { ids, offsets } = tokenizer.encodeWithOffsets(text);
  return {
    ids,
    assistantMask: offsets.map(([start, end]) => Number(spans.some(([from, to]) => start < to && end > from))),
    unwritten,
  };
}

/**
 * Writes messages in the form that the template takes. Arguments of calls are values, as Transformers' documentation
 * asks for, unless the template takes them only as text. A template without the role "developer" gets it as "system".
 */
function write<T>(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  rendering: RenderOptions,
  render: (template: string, messages: readonly ChatMessage[], options: RenderOptions) => T,
): T {
  const template = templateOf(tokenizer, rendering.tools);
  const { split_special_tokens: split = true, ...variables } = {
    ...tokenizer.templateVariables,
    ...rendering.variables,
  };
  const special = split === false ? undefined : patternOf(tokenizer.specialTokens);
  // what people write in messages is text
  const asText = <V>(value: V): V =>
    special ? mapLeaves(value, (leaf) => (typeof leaf === 'string' ? markPlain(leaf, special) : leaf)) : value;
  const options = { ...specialTokens(tokenizer), ...rendering, tools: asText(rendering.tools), variables };
  const named = asText(messages.map((message) => present(message, template)));
  if (!named.some(({ tool_calls }) => Array.isArray(tool_calls))) return render(template, named, options);
  try {
    return render(template, withArguments(named, argumentValues), options);
  } catch (error) {
    try {
      return render(template, withArguments(named, argumentText), options);
    } catch {
      throw error;
    }
  }
}

/** A message without its empty fields, which tables write for what other rows have. */
function present(message: ChatMessage, template: string): ChatMessage {
  const entries = Object.entries(message).filter(([name, value]) => name === 'content' || value !== null);
  const fields = Object.fromEntries(entries) as unknown as ChatMessage;
  return fields.role === 'developer' && !template.includes('developer') ? { ...fields, role: 'system' } : fields;
}

/**
 * The id of the token with which the tokenizer's template ends the assistant's turn; undefined if it ends with several,
 * or with none.
 */
export function endOfTurnToken(tokenizer: Tokenizer): number | undefined {
  const conversation = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello' },
  ];
  try {
    const { text, spans } = write(tokenizer, conversation, {}, renderAssistantSpans);
    const [, mark = ''] = /Hello\s*(\S+)\s*$/.exec(text.slice(...spans[0])) ?? [];
    return tokenizer.specialTokens.get(mark);
  } catch {
    return undefined; // the template will be refused where it is used
  }
}

const withArguments = (messages: readonly ChatMessage[], change: (given: unknown) => unknown): ChatMessage[] =>
  messages.map((message) => {
    if (!Array.isArray(message.tool_calls)) return message;
    const calls = (message.tool_calls as { function?: { arguments?: unknown } }[]).map((call) =>
      call.function ? { ...call, function: { ...call.function, arguments: change(call.function.arguments) } } : call,
    );
    return { ...message, tool_calls: calls };
  });

function argumentValues(given: unknown): unknown {
  const value = typeof given === 'string' ? parsedJson(given, parseExact) : undefined;
  return value === undefined ? given : value;
}

const argumentText = (given: unknown): unknown => (typeof given === 'string' ? given : stringifyExact(given));

function specialTokens({ bos, eos, endTokens, tokenOf }: Tokenizer): RenderOptions {
  return {
    endTokens,
    bosToken: bos === undefined ? undefined : tokenOf(bos),
    eosToken: eos === undefined ? undefined : tokenOf(eos),
  };
}

function render(template: string, messages: readonly ChatMessage[], options: RenderOptions, turns = false): Rendered {
  const { addGenerationPrompt = false, tools, documents, bosToken, eosToken } = options;
  const { strftime_now: date, ...variables } = options.variables ?? {};
  const now = typeof date === 'string' ? new Date(`${date}T12:00`) : (options.now ?? new Date());
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
      turns,
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
