/**
 * JSON by a schema, byte by byte: which bytes may come next. Bounds of numbers, lengths, formats and regular expressions
 * are part of the grammar. What a grammar cannot say is listed, to be checked afterwards.
 *
 * Objects have their properties in the order of the schema and no others, which every schema accepts. Blanks between
 * tokens and digits of numbers are limited, so that a weak model cannot write them forever.
 */
import { compileSchema } from './json-grammar/compile.ts';
import { beginningOf, choice, type GrammarState, literal, sequence } from './json-grammar/rules.ts';
import { anyObject, blanksAnd } from './json-grammar/values.ts';

export type { GrammarState } from './json-grammar/rules.ts';

/** A grammar, and what it does not ensure. */
export interface JsonGrammar {
  /** The beginning of the text. */
  begin: GrammarState;
  /** Parts of the schema that the text may break, such as `schema.tags: uniqueItems`. */
  unchecked: string[];
}

/**
 * The grammar of JSON by a schema. `true` is any JSON.
 *
 * @throws HeedError that names the place, if it is no schema, refers to another document, or no JSON fits it.
 */
export function jsonGrammar(schema: unknown): JsonGrammar {
  const { rule, unchecked } = compileSchema(schema);
  return { begin: beginningOf(rule), unchecked };
}

/** The grammar of any JSON object. */
export const anyObjectGrammar = (): JsonGrammar => ({ begin: beginningOf(anyObject()), unchecked: [] });

/** The grammar of a call: an object with the `name` of one of the tools, and its `arguments` by the tool's schema. */
export function callGrammar(tools: readonly { name: string; parameters?: unknown }[]): JsonGrammar {
  const compiled = tools.map(({ name, parameters = { type: 'object', properties: {} } }) => {
    const { rule, unchecked } = compileSchema(parameters);
    const call = sequence(
      blanksAnd(literal('"name"'), literal(':'), literal(JSON.stringify(name)), literal(',')),
      blanksAnd(literal('"arguments"'), literal(':'), rule),
    );
    return { rule: call, unchecked: unchecked.map((one) => `${name}: ${one}`) };
  });
  const rule = sequence(literal('{'), choice(...compiled.map(({ rule }) => rule)), blanksAnd(literal('}')));
  return { begin: beginningOf(rule), unchecked: compiled.flatMap(({ unchecked }) => unchecked) };
}
