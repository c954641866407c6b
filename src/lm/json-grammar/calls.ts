/** Grammars of calls of tools: of one that has to come, and of texts in which a model may call some. */
import { HeedError } from '../../error.ts';
import type { JsonGrammar } from '../json-grammar.ts';
import { BLOCK_MARK } from '../tool-calls.ts';
import { compileSchema } from './compile.ts';
import { anyTimes, automaton, beginningOf, choice, literal, nothing, oneOf, type Rule, sequence } from './rules.ts';
import { anyObject, blanksAnd } from './values.ts';

/** A tool that may be called. */
export interface CallableTool {
  /** The name that calls it. */
  name: string;
  /** JSON schema of its arguments: an object without any unless given. */
  parameters?: unknown;
  /** Whether a schema that no grammar can have is an error in `callsInText` too, instead of any object. */
  strict?: boolean;
}

/** How a model calls tools in a text. */
export interface CallsInTextOptions {
  /** Calls are `<tool_call>` blocks anywhere in the text, or the whole text is JSON: a call, or a list of them. */
  syntax: 'blocks' | 'json';
  /** Whether there may be several calls. */
  parallel: boolean;
  /** What has to come where no tool is called, instead of any text: JSON by a schema, or any object. */
  answer?: { schema: unknown } | 'object';
}

/** The grammar of a call: an object with the `name` of one of the tools, and its `arguments` by the tool's schema. */
export function callGrammar(tools: readonly CallableTool[]): JsonGrammar {
  const { named, unchecked } = compileTools(tools.map((tool) => ({ ...tool, strict: true })));
  return { begin: beginningOf(sequence(literal('{'), blanksAnd(literal('"name"')), named)), unchecked };
}

/**
 * The grammar of texts in which a call, once it has begun, is a call of one of these tools by its schema. With `json` it
 * has begun with its `name`; other JSON is free.
 *
 * @throws HeedError that names the part of the answer's schema or of a strict tool's that cannot be.
 */
export function callsInTextGrammar(tools: readonly CallableTool[], options: CallsInTextOptions): JsonGrammar {
  const { named, reversed, unchecked } = compileTools(tools);
  const name = sequence(anyBlanks, literal('"name"'), named);
  const { syntax, answer } = options;
  const rule =
    syntax === 'json' ? jsonCalls(name, options) : blocks(choice(name, sequence(anyBlanks, reversed)), options);
  if (answer === undefined) return { begin: beginningOf(rule), unchecked };
  const other = answer === 'object' ? { rule: anyObject(), unchecked: [] } : compileSchema(answer.schema);
  return { begin: beginningOf(choice(rule, other.rule)), unchecked: [...unchecked, ...other.unchecked] };
}

/** Calls as a whole text, or any other text. `name`: what comes behind the bracket of a call. */
function jsonCalls(name: Rule, { parallel, answer }: CallsInTextOptions): Rule {
  const call = sequence(literal('{'), name);
  const others = anyTimes(sequence(anyBlanks, literal(','), anyBlanks, call));
  const list = sequence(literal('['), anyBlanks, call, parallel ? others : nothing, anyBlanks, literal(']'));
  const calls = sequence(anyBlanks, choice(call, list), anyBlanks);
  return answer === undefined ? choice(calls, textWithout(wholeMark)) : calls;
}

/** A text with blocks of calls; only blocks where the `answer` is something else. */
function blocks(call: Rule, { parallel, answer }: CallsInTextOptions): Rule {
  const end = sequence(anyBlanks, literal('</tool_call>'));
  if (answer !== undefined) {
    const block = sequence(literal(BLOCK_MARK), anyBlanks, literal('{'), call, end, anyBlanks);
    return parallel ? sequence(block, anyTimes(block)) : block;
  }
  const block = sequence(textBehind(blockMark), call, end);
  const text = textWithout(blockMark);
  return parallel ? sequence(anyTimes(block), text) : choice(text, sequence(block, anyBlanks));
}

const NONE = { type: 'object', properties: {}, additionalProperties: false };

/** What follows `{"name"` in a call, and what follows `{` where the arguments come first. */
function compileTools(tools: readonly CallableTool[]): { named: Rule; reversed: Rule; unchecked: string[] } {
  const compiled = tools.map(({ name, parameters = NONE, strict }) => {
    const { rule, unchecked } = compileParameters(parameters, strict);
    const called = literal(JSON.stringify(name));
    const key = choice(literal('"arguments"'), literal('"parameters"'));
    return {
      named: sequence(blanksAnd(literal(':'), called, literal(','), key, literal(':'), rule, literal('}'))),
      reversed: sequence(
        key,
        blanksAnd(literal(':'), rule, literal(','), literal('"name"'), literal(':'), called, literal('}')),
      ),
      unchecked: unchecked.map((one) => `${name}: ${one}`),
    };
  });
  return {
    named: choice(...compiled.map(({ named }) => named)),
    reversed: choice(...compiled.map(({ reversed }) => reversed)),
    unchecked: compiled.flatMap(({ unchecked }) => unchecked),
  };
}

function compileParameters(parameters: unknown, strict = false): { rule: Rule; unchecked: string[] } {
  try {
    return compileSchema(parameters);
  } catch (error) {
    if (strict || !(error instanceof HeedError)) throw error;
    return { rule: anyObject(), unchecked: [] };
  }
}

/** Blanks of JSON. */
const isBlank = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const anyBlanks = anyTimes(oneOf(isBlank));

/** How far a text has come into what begins a call: a place in it, after each byte. */
interface Mark {
  /** The place behind it. */
  length: number;
  after(place: number, byte: number): number;
}

const BLOCK = `${BLOCK_MARK}{`;
/** Anywhere in a text. */
const blockMark: Mark = {
  length: BLOCK.length,
  after(place, byte) {
    if (place === BLOCK.length - 1 && isBlank(byte)) return place;
    if (byte === BLOCK.charCodeAt(place)) return place + 1;
    return byte === BLOCK.charCodeAt(0) ? 1 : 0;
  },
};

const WHOLE = '[{"name"';
const NOWHERE = -1;
/** At the beginning of a text. */
const wholeMark: Mark = {
  length: WHOLE.length,
  after(place, byte) {
    if (place >= 0 && place <= WHOLE.indexOf('"') && isBlank(byte)) return place;
    if (place === 0 && byte === WHOLE.charCodeAt(1)) return 2;
    return place !== NOWHERE && byte === WHOLE.charCodeAt(place) ? place + 1 : NOWHERE;
  },
};

/** Any text in which no call begins. */
const textWithout = ({ length, after }: Mark): Rule =>
  automaton({
    start: 0,
    key: String,
    after(place, byte) {
      const next = after(place, byte);
      return next === length ? undefined : next;
    },
    ends: () => true,
    isText: () => true,
    least: () => 0,
  });

/** A text up to where a call begins. */
const textBehind = ({ length, after }: Mark): Rule =>
  automaton({
    start: 0,
    key: String,
    after: (place, byte) => (place === length ? undefined : after(place, byte)),
    ends: (place) => place === length,
    isText: (place) => place < length,
    least: (place) => length - place,
  });
