/** Parts that reports of all kinds of runs share. */
import { join } from 'node:path';
import { z } from 'zod';
import { HeedError } from '../error.ts';
import { duration } from './progress.ts';
import type { LineChart } from './report/line-chart.ts';
import type { MetricsRow, RunInfo } from './run.ts';

/** A run's settings, checked. Throws a HeedError where they are of another kind of run. */
export function settingsOf<S extends z.ZodType>(schema: S, { config }: RunInfo, folder: string): z.output<S> {
  const { success, data, error } = schema.safeParse(config);
  if (success) return data;
  throw new HeedError(`The settings in "${join(folder, 'config.json')}" are wrong: ${z.prettifyError(error)}`, {
    hint: 'Was the file edited by hand, or made by another version of heed?',
  });
}

export const subtitle = (started: string, how: string, seed: number) =>
  `${how}, seed ${seed}, started ${started.slice(0, 16).replace('T', ' ')} UTC`;

/** Wall time from the first row to the last; the pause before a resumption counts. */
export const elapsed = (rows: readonly MetricsRow[]) =>
  rows.length > 1 ? duration(rows[rows.length - 1].time - rows[0].time) : '–';

/** One metric over steps. */
export function chart(
  rows: readonly MetricsRow[],
  name: string,
  title: string,
  yLabel: string,
  caption: string,
  xLabels: readonly string[] = ['environment steps'],
  x: (row: MetricsRow) => number[] = (row) => [row.step],
): LineChart {
  const seen = rows.filter((row) => name in row);
  const series = [
    { name: title, x: xLabels.map((_, i) => seen.map((row) => x(row)[i])), y: seen.map((row) => row[name]) },
  ];
  return { kind: 'lines', title, caption, xLabels, yLabel, series };
}
