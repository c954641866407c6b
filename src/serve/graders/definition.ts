/** Definitions of graders, in the shape of OpenAI's API, and what is wrong with one. */
import { z } from 'zod';
import { textSimilarities } from '../../align/reward-functions/text-similarity.ts';
import { HeedError } from '../../error.ts';
import { parseFormula } from './formula.ts';
import { pathsIn } from './template.ts';

const name = z.string().min(1).max(100);
/** Characters of a source: OpenAI's limit. */
const LONGEST_SOURCE = 256 * 1024;

const textPart = z.object({ type: z.enum(['input_text', 'output_text']), text: z.string() });
const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), textPart, z.array(z.union([z.string(), textPart]))], {
    error: 'expected text, or parts of the types input_text and output_text: images and audio cannot be read here',
  }),
  type: z.literal('message').optional(),
});

const stringCheck = z.object({
  type: z.literal('string_check'),
  name,
  input: z.string(),
  reference: z.string(),
  operation: z.enum(['eq', 'ne', 'like', 'ilike']),
});
const textSimilarity = z.object({
  type: z.literal('text_similarity'),
  name,
  input: z.string(),
  reference: z.string(),
  evaluation_metric: z.string().refine((metric) => Object.hasOwn(textSimilarities, metric), {
    error: `expected one of ${Object.keys(textSimilarities).join(', ')}; cosine needs embeddings, which this server does not have`,
  }),
});
const scoreModel = z.object({
  type: z.literal('score_model'),
  name,
  model: z.string().min(1),
  input: z.array(message).min(1),
  range: z
    .tuple([z.number(), z.number()])
    .refine(([low, high]) => low < high, 'expected the smaller number first')
    .default([0, 1]),
  sampling_params: z
    .strictObject({
      max_completions_tokens: z.number().int().min(1).nullish(),
      temperature: z.number().min(0).max(2).nullish(),
      top_p: z.number().gt(0).max(1).nullish(),
      seed: z.number().int().nullish(),
    })
    .nullish(),
});
const labelModel = z
  .object({
    type: z.literal('label_model'),
    name,
    model: z.string().min(1),
    input: z.array(message).min(1),
    labels: z.array(z.string().min(1)).min(1),
    passing_labels: z.array(z.string()),
  })
  .refine(({ labels, passing_labels }) => passing_labels.every((label) => labels.includes(label)), {
    path: ['passing_labels'],
    message: 'expected some of the labels',
  });
const javascript = z.object({
  type: z.literal('javascript'),
  name,
  source: z.string().min(1).max(LONGEST_SOURCE),
});
const python = z.object({ type: z.literal('python') }).refine(() => false, {
  path: ['type'],
  message:
    'expected another type than python, which does not run here: write the function in JavaScript, as {"type": "javascript", "source": "function grade(sample, item) { … }"}',
});

const single = z.discriminatedUnion('type', [stringCheck, textSimilarity, scoreModel, labelModel, javascript, python]);
const multi = z.object({
  type: z.literal('multi'),
  name,
  graders: z.unknown(), // one grader, a list, or by names: checked one by one
  calculate_output: z.string().min(1),
});

/** A grader that is not made of others. */
export type SingleGrader = Exclude<z.output<typeof single>, { type: 'python' }>;
/** A grader made of others by a formula. */
export interface MultiGrader {
  /** Tells it from other graders. */
  type: 'multi';
  /** Its name in results and errors. */
  name: string;
  /** The graders by the names that the formula has for them. */
  graders: Record<string, SingleGrader>;
  /** The formula. */
  calculate_output: string;
}
/** A checked definition of a grader. */
export type Grader = SingleGrader | MultiGrader;

/**
 * Checks the definition of a grader: its fields, its templates and its formula.
 *
 * @throws HeedError that names the field, such as `grader.operation`.
 */
export function parseGrader(definition: unknown, path = 'grader'): Grader {
  const grader =
    (definition as { type?: unknown } | null)?.type === 'multi'
      ? parseMulti(definition, path)
      : parseSingle(definition, path);
  for (const template of templatesIn(grader)) pathsIn(template);
  return grader;
}

/** The graders of a "multi" by name: it has one, a list of them, or an object that names them. */
function byName(graders: unknown): [name: string, grader: unknown][] {
  const nameOf = (grader: unknown) => String((grader as { name?: unknown } | null)?.name);
  if (Array.isArray(graders)) return graders.map((one) => [nameOf(one), one]);
  const isOne = typeof (graders as { type?: unknown } | null)?.type === 'string';
  return isOne ? [[nameOf(graders), graders]] : Object.entries((graders ?? {}) as object);
}

function parseMulti(definition: unknown, path: string): MultiGrader {
  const { graders: list, ...rest } = parsed(multi, definition, path);
  const graders = Object.fromEntries(
    byName(list).map(([key, one]) => [key, parseSingle(one, `${path}.graders.${key}`)]),
  );
  const { names } = parseFormula(rest.calculate_output);
  const missing = names.find((name) => !Object.hasOwn(graders, name));
  if (missing === undefined) return { ...rest, graders };
  throw new HeedError(`${path}.calculate_output names "${missing}", which is not a grader.`, {
    hint: `The graders are ${Object.keys(graders).join(', ') || 'none'}.`,
  });
}

const parseSingle = (definition: unknown, path: string): SingleGrader =>
  parsed(single, definition, path) as SingleGrader;

function parsed<S extends z.ZodType>(schema: S, value: unknown, path: string): z.output<S> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [{ path: inner, message }] = error.issues;
  throw new HeedError(`${[path, ...inner].join('.')}: ${message.replace(/^[A-Z][a-z ]+: /, '')}`, {
    hint: 'The types of graders are string_check, text_similarity, score_model, label_model, javascript and multi.',
  });
}

/** The templates of a grader. */
export function templatesIn(grader: Grader): string[] {
  switch (grader.type) {
    case 'multi':
      return Object.values(grader.graders).flatMap(templatesIn);
    case 'string_check':
    case 'text_similarity':
      return [grader.input, grader.reference];
    case 'javascript':
      return [];
    default:
      return grader.input.map(({ content }) => textOf(content));
  }
}

/** The text of a message to a grader's model. */
export const textOf = (content: z.output<typeof message>['content']): string =>
  [content]
    .flat()
    .map((part) => (typeof part === 'string' ? part : part.text))
    .join('\n');
