/**
 * Files of comparisons: JSON lines, each with two clips and what is preferred of them, as programs pass them. The
 * format is described in docs/reference/preferences.md.
 *
 *     {"first": {"steps": [{"observation": [0.1, 0], "action": 1, "next": [0.2, 0]}], "terminated": false},
 *      "second": {…}, "preference": "first"}
 */
import { z } from 'zod';
import { HeedError, messageOf } from '../error.ts';
import { readText } from '../files.ts';
import type { ClipComparison } from './teacher-input.ts';

/** A row, and where it stands. */
export interface ComparisonRow {
  /** File and line, as in `"clips.jsonl", line 3`. */
  where: string;
  comparison: ClipComparison;
}

const numbers = z.array(z.number());
const clipSchema = z
  .object({
    steps: z
      .array(
        z.object({
          observation: numbers,
          action: z.union([z.number(), numbers]).transform((action) => [action].flat()),
          next: numbers.optional(),
        }),
      )
      .min(1),
    terminated: z.boolean().default(false),
  })
  .transform(({ steps, terminated }) => ({
    // what a step led to is what the following one saw; of the last one that is unknown
    steps: steps.map((step, i) => ({ ...step, next: step.next ?? (steps[i + 1] ?? step).observation })),
    terminated,
  }));
const rowSchema = z.object({
  first: clipSchema,
  second: clipSchema,
  preference: z.union([
    z.enum(['first', 'second', 'equal', 'incomparable', 'skip']),
    z.tuple([z.number(), z.number()]),
  ]),
});

/** Whether a name is that of a file of comparisons, and not of a run's folder. */
export const isComparisonFile = (name: string): boolean => name.endsWith('.jsonl');

/** Reads a file of comparisons. @throws HeedError that names the file, the line and the field that is wrong. */
export function readComparisons(path: string): ComparisonRow[] {
  const rows = readText(path)
    .split('\n')
    .flatMap((line, i): ComparisonRow[] => {
      if (line.trim() === '') return [];
      const where = `"${path}", line ${i + 1}`;
      return [{ where, comparison: comparisonOf(line, where) }];
    });
  if (rows.length > 0) return rows;
  throw new HeedError(`"${path}" has no comparisons`, { hint });
}

const hint =
  'a line is { "first": { "steps": [{ "observation": […], "action": 0, "next": […] }], "terminated": false }, "second": …, "preference": "first" }';

function comparisonOf(line: string, where: string): ClipComparison {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new HeedError(`${where} is not valid JSON: ${messageOf(error)}`, { hint });
  }
  const { success, data, error } = rowSchema.safeParse(value);
  if (success) return data;
  const [{ path, message }] = error.issues;
  throw new HeedError(`${where}: ${path.join('.') || 'the line'}: ${message}`, { hint });
}
