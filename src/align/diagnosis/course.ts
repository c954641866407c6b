/** The course of a metric over a run: what diagnoses compare. */
import type { Finding } from '../../run/diagnosis.ts';
import { mean } from '../../run/intervals.ts';
import { figure } from '../../run/progress.ts';
import type { MetricsRow } from '../../run/run.ts';

/** How a metric began and where it stands. */
export interface MetricCourse {
  /** The metric's name. */
  metric: string;
  /** Steps at which it was measured. */
  steps: number[];
  /** Its values at these steps. */
  values: number[];
  /** The first value. */
  first: number;
  /** The mean of the last quarter of its values. */
  last: number;
}

/** The course of a metric; undefined if the run does not have it. */
export function courseOf(rows: readonly MetricsRow[], metric: string): MetricCourse | undefined {
  const measured = rows.filter((row) => metric in row);
  if (measured.length === 0) return undefined;
  const values = measured.map((row) => row[metric]);
  return { metric, steps: measured.map(({ step }) => step), values, first: values[0], last: mean(lastQuarter(values)) };
}

/** The last quarter of some values; at least one. */
export const lastQuarter = <T>(values: readonly T[]): T[] => values.slice(-Math.ceil(values.length / 4));

/** The first step from which a condition holds without a break until the end; undefined if it does not at the end. */
export function since({ steps, values }: MetricCourse, holds: (value: number) => boolean): number | undefined {
  const broken = values.findLastIndex((value) => !holds(value));
  return broken === values.length - 1 ? undefined : steps[broken + 1];
}

/** "0.02 → 0.53" */
export const change = (course: MetricCourse | undefined, name = course?.metric): string =>
  course ? `${name} ${figure(course.first)} → ${figure(course.last)}` : '';

/** The last values of courses, by name; those that were not measured or are not finite are left out. */
export const measuresOf = (values: Readonly<Record<string, number | undefined>>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).filter((entry): entry is [string, number] => Number.isFinite(entry[1])));

/** A finding that a training fails. */
export const failure = (code: string, text: string, advice: string): Finding => ({
  code,
  severity: 'failure',
  text,
  advice,
});

/** A finding that a training may come to fail. */
export const warning = (code: string, text: string, advice: string): Finding => ({
  code,
  severity: 'warning',
  text,
  advice,
});
