/** Calls of tools in what a model writes. */
import { parseExact, stringifyExact } from '../exact-number.ts';
import { randomBytes } from '../node.ts';

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

const BLOCK = /<tool_call>\s*([\s\S]*?)\s*(?:<\/tool_call>|$)/g;

/**
 * The calls in a text, and the text without them. Known are `<tool_call>` blocks (Hermes, Qwen, SmolLM), and a text that
 * is JSON as a whole: an object with `name` and `arguments` or `parameters` (Llama), or a list of them (Mistral). What
 * cannot be read as calls of these tools stays text.
 */
export function parseCalls(
  text: string,
  tools: readonly Pick<ToolSchema, 'function'>[],
): { text: string; calls: ToolCall[] } {
  const blocks = [...text.matchAll(BLOCK)].map(([, json]) => json);
  const whole = text.replace(/^\s*(<\|python_tag\|>|\[TOOL_CALLS\])/, '');
  const calls = (blocks.length > 0 ? blocks : [whole]).map((json) => callsOf(parsedJson(json, parseExact), tools));
  if (calls.includes(undefined)) return { text, calls: [] };
  return { text: blocks.length > 0 ? text.replace(BLOCK, '').trim() : '', calls: (calls as ToolCall[][]).flat() };
}

function callsOf(value: unknown, tools: readonly Pick<ToolSchema, 'function'>[]): ToolCall[] | undefined {
  const all = Array.isArray(value) ? value : [value];
  const calls = all.map((one): ToolCall | undefined => {
    if (typeof one !== 'object' || one === null) return undefined;
    const { name, arguments: given, parameters } = one as Record<string, unknown>;
    const values = given ?? parameters ?? {};
    if (!tools.some((tool) => tool.function.name === name)) return undefined;
    const text = typeof values === 'string' ? values : stringifyExact(values);
    const id = `call_${randomBytes(12).toString('hex')}`;
    return { id, type: 'function', function: { name: name as string, arguments: text } };
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
