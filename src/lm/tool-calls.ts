/** Calls of tools in what a model writes. */
import { parseExact, stringifyExact } from '../exact-number.ts';
import { randomBytes } from '../node.ts';
import { overlap } from './completion-text.ts';

/** A tool as a template shows it: a function with a JSON schema of its arguments. */
export interface ToolSchema {
  /** The kind of tool. */
  type: 'function';
  /** The function. */
  function: {
    /** The name that calls it. */
    name: string;
    /** What it does, for the model. */
    description?: string;
    /** JSON schema of its arguments, an object. */
    parameters?: Record<string, unknown>;
  };
}

/** A call of a tool, as OpenAI's API writes it. */
export interface ToolCall {
  /** Names the call in the tool's message. */
  id: string;
  /** The kind of tool. */
  type: 'function';
  /** Name and arguments, which are JSON as text. */
  function: { name: string; arguments: string };
}

/** Begins a block of calls. */
export const BLOCK_MARK = '<tool_call>';
/** Ends it. */
export const BLOCK_END = '</tool_call>';
/** Marks before the calls of a text that has nothing else: of Llama, Mistral, Granite 3 and Phi-4-mini. */
const PREFIXES = ['<|python_tag|>', '[TOOL_CALLS]', '<|tool_call|>', '<|tool_calls|>', 'functools'];
const SUFFIX = /<\|\/tool_calls?\|>\s*$/;
const BLOCK = new RegExp(`${BLOCK_MARK}\\s*([\\s\\S]*?)\\s*(?:${BLOCK_END}|$)`, 'g');

/**
 * The calls in a text, and the text without them. Known are `<tool_call>` blocks (Hermes, Qwen, SmolLM), and a text that
 * is JSON as a whole, after one of `PREFIXES` or alone: an object with `name` and `arguments` or `parameters` (Llama), or a
 * list of them (Mistral, Granite, Phi). What cannot be read as calls of these tools stays text. Where the text `isCut`, its
 * last call may end anywhere behind its name: its arguments are then no whole JSON.
 */
export function parseCalls(
  text: string,
  tools: readonly Pick<ToolSchema, 'function'>[],
  isCut = false,
): { text: string; calls: ToolCall[] } {
  const blocks = [...text.matchAll(BLOCK)].map(([, json]) => json);
  const jsons = blocks.length > 0 ? blocks : [withoutMarks(text)];
  const calls = jsons.map((json, i) => {
    const found = callsOf(parsedJson(json, parseExact), tools);
    return found ?? (isCut && i === jsons.length - 1 ? cutCall(json, tools) : undefined);
  });
  if (calls.includes(undefined)) return { text, calls: [] };
  return { text: blocks.length > 0 ? text.replace(BLOCK, '').trim() : '', calls: (calls as ToolCall[][]).flat() };
}

function withoutMarks(text: string): string {
  const begun = text.trimStart();
  const prefix = PREFIXES.find((mark) => begun.startsWith(mark)) ?? '';
  return begun.slice(prefix.length).replace(SUFFIX, '');
}

/** Whether what begins so may be calls as a whole. */
function mayBeCalls(beginning: string): boolean {
  const begun = beginning.trimStart();
  return /^[[{]/.test(begun) || PREFIXES.some((mark) => begun.startsWith(mark) || mark.startsWith(begun));
}

/** Separates text from calls of tools while a model writes. */
export interface TextStream {
  /** Takes the next piece. Returns new text that cannot be part of a call. */
  read(piece: string): string;
  /** Returns the part of the final text, which `parseCalls` found, that `read` has not returned. */
  rest(text: string): string;
}

/** Begins to read a completion in which a model may call tools. */
export function createTextStream(): TextStream {
  let written = '';
  let passed = 0;
  return {
    read(piece) {
      written += piece;
      if (passed === 0 && mayBeCalls(written)) return '';
      const mark = written.indexOf(BLOCK_MARK, passed);
      const end = mark < 0 ? written.length - overlap(written, BLOCK_MARK) : mark;
      const text = written.slice(passed, end).trimEnd();
      passed += text.length;
      return text;
    },
    rest(text) {
      const sent = written.slice(0, passed);
      return text.slice((text.startsWith(sent) ? sent : sent.trimStart()).length);
    },
  };
}

/** A call whose name is there, and of its arguments what was written. */
function cutCall(json: string, tools: readonly Pick<ToolSchema, 'function'>[]): ToolCall[] | undefined {
  const [begin, name] = /^\s*\[?\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(json) ?? [];
  const called = name && parsedJson(name);
  if (!begin || !tools.some((tool) => tool.function.name === called)) return undefined;
  const [, written = ''] = /^\s*,\s*"(?:arguments|parameters)"\s*:\s*([\s\S]*)$/.exec(json.slice(begin.length)) ?? [];
  return [callOf(called as string, written)];
}

const callOf = (name: string, text: string): ToolCall => ({
  id: `call_${randomBytes(12).toString('hex')}`,
  type: 'function',
  function: { name, arguments: text },
});

function callsOf(value: unknown, tools: readonly Pick<ToolSchema, 'function'>[]): ToolCall[] | undefined {
  const all = Array.isArray(value) ? value : [value];
  const calls = all.map((one): ToolCall | undefined => {
    if (typeof one !== 'object' || one === null) return undefined;
    const { name, arguments: given, parameters } = one as Record<string, unknown>;
    const values = given ?? parameters ?? {};
    if (!tools.some((tool) => tool.function.name === name)) return undefined;
    return callOf(name as string, typeof values === 'string' ? values : stringifyExact(values));
  });
  return calls.length === 0 || calls.includes(undefined) ? undefined : (calls as ToolCall[]);
}

/** The value of JSON; undefined if it is none. */
export function parsedJson(json: string, parse: (json: string) => unknown = JSON.parse): unknown {
  try {
    return parse(json);
  } catch {
    return undefined;
  }
}
