/**
 * What a row says beside its completions: a question, a system message, tools. Rows have these in columns of many names,
 * and a model that is trained without them learns something else than its people meant. `gatherContext` brings them into
 * the prompt or the messages; `lostContext` finds what would still be lost.
 */
import { type ForeignFormat, type Format, formatRead, type Message, speakers } from './format.ts';
import { type Fault, isRecord, type Row } from './row.ts';

/** Columns that hold what a completion answers, first the one that is taken where a row has several. */
const QUESTIONS = ['question', 'instruction', 'query'];
/** Columns that belong to the prompt by their names. */
const CONTEXT = [
  ...QUESTIONS,
  'system',
  'system_prompt',
  'input',
  'context',
  'history',
  'tools',
  'messages',
  'conversations',
];
const COMPLETIONS = ['completion', 'chosen', 'rejected'];
const CONVERSATIONS = ['messages', 'prompt', ...COMPLETIONS];

/** A row whose question, system message, tools and parts of content stand where its format has them. */
export function gatherContext(row: Row): Row {
  return withSystem(withQuestion(withTools(withTurns(withTexts(row)))));
}

/** How the reason begins where a column would be lost. */
export const LOST = 'looks like a part of the prompt';

/**
 * The context that a row would be read without. A column whose text stands in the content already is
 * not lost; columns beside a prompt alone are there for rewards.
 *
 * @param original - The row as it stands in its file.
 * @param value - The row as it was read.
 */
export function lostContext(original: Row, value: Row, format: Format | ForeignFormat): Fault | undefined {
  const read = formatRead(format);
  if (value.text !== undefined && read === 'language-modeling') return undefined; // a text is the whole of it
  const taken = new Set(takenBy(original, format));
  const fields = read === 'language-modeling' ? ['messages'] : ['prompt', 'completions', ...COMPLETIONS];
  const content = fields.map((name) => JSON.stringify(value[name] ?? ''));
  for (const column of CONTEXT) {
    const context = original[column];
    if (isEmpty(context) || taken.has(column)) continue;
    const isChat = Array.isArray(value.messages) || Array.isArray(value.prompt);
    if (column === 'tools' && isChat && Array.isArray(value.tools)) continue;
    if (read === 'prompt-only' && !/^system|^tools/.test(column)) continue;
    if (content.some((part) => part.includes(JSON.stringify(context).slice(1, -1).trim()))) continue;
    return { field: column, reason: `${LOST}, and ${read} rows would be learned without it` };
  }
  return undefined;
}

/** Columns that a foreign format reads by itself. */
function takenBy(row: Row, format: Format | ForeignFormat): readonly string[] {
  if (formatRead(format) === 'language-modeling') return ['messages', 'conversations'];
  if (format === 'alpaca') return ['instruction', 'input', 'history'];
  if (isTurned(row)) return ['messages', 'conversations'];
  return isGathered(row) ? [questionOf(row)!, 'input'] : [];
}

const isEmpty = (value: unknown) =>
  value === undefined ||
  value === null ||
  (typeof value === 'string' && value.trim() === '') ||
  (Array.isArray(value) && value.length === 0) ||
  (isRecord(value) && Object.keys(value).length === 0);

const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';
const isConversation = (value: unknown): value is Message[] =>
  Array.isArray(value) && value.length > 0 && value.every(isRecord);
const first = (messages: unknown) => (isConversation(messages) ? messages[0].role : undefined);
const turn = (role: string, content: string): Message => ({ role, content });

/** A completion as the assistant's turn. */
const spoken = (completion: unknown) => (isText(completion) ? [turn('assistant', completion)] : completion);

/** The same with every completion as the assistant's turn. */
function withSpoken(row: Row): Row {
  const changed = COMPLETIONS.filter((name) => Object.hasOwn(row, name)).map((name) => [name, spoken(row[name])]);
  return { ...row, ...Object.fromEntries(changed) };
}

const questionOf = (row: Row) => QUESTIONS.find((name) => isText(row[name]));

/** Whether the question stands in a column of its own beside completions, none of which begins with it. */
function isGathered(row: Row): boolean {
  const completed = COMPLETIONS.filter((name) => !isEmpty(row[name]));
  const answers = completed.every((name) =>
    typeof row[name] === 'string' ? !/^\s*Human:/.test(row[name]) : first(row[name]) === 'assistant',
  );
  return isEmpty(row.prompt) && completed.length > 0 && answers && questionOf(row) !== undefined;
}

/** `{question, chosen, rejected}` and its like → a prompt of one turn, with the completions as turns. */
function withQuestion(row: Row): Row {
  if (isGathered(row)) {
    const name = questionOf(row)!;
    const { [name]: question, input, ...rest } = row;
    const content = isText(input) ? `${question}\n\n${input}` : (question as string);
    return withSpoken({ prompt: [turn('user', content)], ...rest });
  }
  // a text with the turns that answer it; in UltraFeedback they begin with the text as the user's turn
  const answered = COMPLETIONS.filter((name) => !isEmpty(row[name]));
  if (isText(row.prompt) && answered.length > 0 && answered.every((name) => first(row[name]) === 'assistant')) {
    return { ...row, prompt: [turn('user', row.prompt)] };
  }
  return row;
}

/** A message of ShareGPT's or our shape, as ours; undefined of anything else. */
function messageOf(value: unknown): Message | undefined {
  if (!isRecord(value)) return undefined;
  const role = value.role ?? speakers[`${value.from}`];
  const content = value.content ?? value.value;
  return typeof role === 'string' && content !== undefined ? { role, content: content as string } : undefined;
}

/** Completions that are one message each, as lists. */
function asTurns(row: Row): Row {
  const single = COMPLETIONS.map((name) => [name, messageOf(row[name])] as const).filter(([, message]) => message);
  return { ...row, ...Object.fromEntries(single.map(([name, message]) => [name, [message]])) };
}

const before = (row: Row) =>
  ['messages', 'conversations']
    .map((name) => row[name])
    .find(isConversation)
    ?.map(messageOf) ?? [];

/** Whether a row has a conversation and completions of its next turn. */
function isTurned(row: Row): boolean {
  const turned = asTurns(row);
  const next = COMPLETIONS.filter((name) => !isEmpty(turned[name]));
  const answers = next.every((name) => typeof turned[name] === 'string' || first(turned[name]) === 'assistant');
  const last = before(row).at(-1);
  const open = last !== undefined && last.role !== 'assistant' && !before(row).includes(undefined);
  return isEmpty(row.prompt) && next.length > 0 && answers && open;
}

/**
 * A conversation with the completions of its next turn, `{messages, chosen, rejected}` or `{conversations, …}`, as axolotl
 * and LLaMA-Factory have it → the conversation as the prompt. A completion may be a single message.
 */
function withTurns(row: Row): Row {
  const turned = asTurns(row);
  if (!isTurned(row)) return turned;
  const { messages, conversations, ...rest } = turned;
  return withSpoken({ prompt: before(row), ...rest });
}

/** The column `system` or `system_prompt` → the first message of the conversation. */
function withSystem(row: Row): Row {
  const name = ['system', 'system_prompt'].find((column) => isText(row[column]));
  if (name === undefined) return row;
  const { [name]: system, ...rest } = row as Row & Record<string, string>;
  const opened = (messages: Message[]) => [turn('system', system), ...messages];
  if (isConversation(row.conversations)) {
    if (row.conversations[0].from === 'system') return row;
    return { ...rest, conversations: [{ from: 'system', value: system }, ...row.conversations] };
  }
  for (const place of ['messages', 'prompt'] as const) {
    const messages = row[place];
    if (isConversation(messages)) return messages[0].role === 'system' ? row : { ...rest, [place]: opened(messages) };
  }
  if (isText(row.instruction) && isText(row.output)) return row; // Alpaca's own columns
  if (isText(row.prompt)) return withSpoken({ ...rest, prompt: opened([turn('user', row.prompt)]) });
  const pair = ['chosen', 'rejected'].filter((place) => first(row[place]) === 'user');
  if (pair.length < 2) return row;
  return { ...rest, ...Object.fromEntries(pair.map((place) => [place, opened(row[place] as Message[])])) };
}

/** Tools that are written as JSON in a text, as LLaMA-Factory's and many tables have them. */
function withTools(row: Row): Row {
  if (!isText(row.tools)) return row;
  try {
    const tools: unknown = JSON.parse(row.tools);
    return Array.isArray(tools) ? { ...row, tools } : row;
  } catch {
    return row; // refused as lost
  }
}

/** Contents in parts (OpenAI's) → texts, where all parts are text. */
function withTexts(row: Row): Row {
  const changed = CONVERSATIONS.filter((name) => isConversation(row[name])).map((name) => [
    name,
    (row[name] as Message[]).map((message) => {
      const parts: unknown = message.content;
      const texts = Array.isArray(parts) && parts.length > 0 && parts.every(isTextPart);
      return texts ? { ...message, content: parts.map(({ text }) => text).join('') } : message;
    }),
  ]);
  return changed.length > 0 ? { ...row, ...Object.fromEntries(changed) } : row;
}

const isTextPart = (part: unknown): part is { text: string } =>
  isRecord(part) && part.type === 'text' && typeof part.text === 'string';
