/** Templates of graders, such as `{{ sample.output_text }}` or `{{ item.answer }}`. */
import { GraderError } from './grader-error.ts';

/** What a grader grades. */
export interface Graded {
  /** What the model wrote. */
  sample: GradedSample;
  /** The row of the dataset. */
  item: unknown;
}

/** What the model wrote, in the shape that graders read. */
export interface GradedSample {
  /** The text. */
  output_text: string;
  /** The text read as JSON; absent if it is not JSON. */
  output_json?: unknown;
}

/** The sample of a text. */
export function sampleOf(text: string): GradedSample {
  try {
    return { output_text: text, output_json: JSON.parse(text) };
  } catch {
    return { output_text: text };
  }
}

const HOLE = /\{\{([^{}]*)\}\}/g;
const PATH = /^(item|sample)((?:\.[\p{L}_$][\p{L}\p{N}_$-]*|\[\d+\]|\["[^"\]]*"\]|\['[^'\]]*'\])+)$/u;
const STEP = /\.([^.[]+)|\[(\d+)\]|\["([^"]*)"\]|\['([^']*)'\]/g;

/** The paths that a template reads, such as `['item', 'answer']`. @throws GraderError for what is not a path. */
export function pathsIn(template: string): string[][] {
  return Array.from(template.matchAll(HOLE), ([, inner]) => pathOf(inner));
}

/**
 * Fills a template in. Text stays as it is; other values become JSON.
 *
 * @throws GraderError when a value is missing.
 */
export const fillIn = (template: string, graded: Graded): string =>
  template.replace(HOLE, (_, inner: string) => inText(valueAt(pathOf(inner), graded)));

function pathOf(inner: string): string[] {
  const [, namespace, rest] = PATH.exec(inner.trim()) ?? [];
  if (namespace === undefined) {
    throw new GraderError('invalid_variable_error', `"{{${inner}}}" is not a variable.`, {
      hint: 'Write {{ sample.output_text }}, {{ sample.output_json.field }} or {{ item.field }}.',
    });
  }
  return [namespace, ...Array.from(rest.matchAll(STEP), ([, ...names]) => names.find((name) => name !== undefined)!)];
}

function valueAt(path: readonly string[], graded: Graded): unknown {
  const [namespace, first] = path;
  let value: unknown = graded;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) {
      // what the model wrote is its own fault; what the row lacks is the grader's
      const ofSample = namespace === 'sample' && first === 'output_json';
      throw ofSample
        ? new GraderError('sample_parse_error', `The sample is not JSON that has "${path.slice(2).join('.')}".`)
        : new GraderError('invalid_variable_error', `There is no {{ ${path.join('.')} }}.`, {
            hint: namespace === 'item' ? 'Each row needs this field.' : 'A sample has output_text and output_json.',
          });
    }
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

const inText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
