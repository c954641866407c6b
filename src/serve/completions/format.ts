/** How what a model writes is bent: JSON by a schema, biases of tokens, penalties. */
import { type Constrainer, createConstrainer } from '../../lm/constrain.ts';
import { anyObjectGrammar, type GrammarState, jsonGrammar } from '../../lm/json-grammar.ts';
import type { Sampler } from '../../lm/sampling.ts';
import type { LoadedModel } from '../loaded-model.ts';
import type { SharedRequest } from './schema.ts';

/** What a completion has to be: any JSON object, or JSON by a schema. */
export type CompletionFormat = { schema: unknown } | 'object';

interface Formatter {
  constrain: Constrainer;
  /** By the schema as text: completions of one schema share what was computed of it. */
  grammars: Map<string, GrammarState>;
}

const formatters = new WeakMap<LoadedModel, Formatter>();
const MOST_GRAMMARS = 32;

/**
 * Prepares a format: a processor for each completion.
 *
 * @throws HeedError that names the keyword of a schema that is not supported, or if the model's tokenizer cannot.
 */
export function formatterOf(model: LoadedModel, format: CompletionFormat): () => Sampler {
  let formatter = formatters.get(model);
  if (!formatter) {
    formatter = { constrain: createConstrainer(model.tokenizer), grammars: new Map() };
    formatters.set(model, formatter);
  }
  const { constrain, grammars } = formatter;
  const key = JSON.stringify(format);
  let grammar = grammars.get(key);
  if (!grammar) {
    grammar = format === 'object' ? anyObjectGrammar() : jsonGrammar(format.schema);
    if (grammars.size >= MOST_GRAMMARS) grammars.delete(grammars.keys().next().value!);
    grammars.set(key, grammar);
  }
  const begin = grammar;
  return () => constrain(begin);
}

/** The processor of one completion, if it needs any. */
export function processorOf(request: SharedRequest, format?: Sampler): Sampler | undefined {
  const { logit_bias, presence_penalty, frequency_penalty } = request;
  const biases = Object.entries(logit_bias).map(([id, bias]) => [Number(id), bias] as const);
  const penalized = presence_penalty !== 0 || frequency_penalty !== 0;
  if (biases.length === 0 && !penalized) return format;
  return (logits, context) => {
    const { tokens, generated } = context;
    for (const [id, bias] of biases) if (id < logits.length) logits[id] += bias;
    if (penalized) {
      const seen = new Set<number>();
      for (let i = tokens.length - generated; i < tokens.length; i++) {
        logits[tokens[i]] -= frequency_penalty + (seen.has(tokens[i]) ? 0 : presence_penalty);
        seen.add(tokens[i]);
      }
    }
    format?.(logits, context);
  };
}
