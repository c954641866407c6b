/** Parts that reports of all kinds of runs share. */

import { z } from 'zod';
import { HeedError } from '../error.ts';
import { join } from '../node.ts';
import type { Diagnosis } from './diagnosis.ts';
import { trainingSeconds } from './drive.ts';
import { count, duration } from './progress.ts';
import type { LineChart, Series } from './report/line-chart.ts';
import type { Report, Table, Text } from './report.ts';
import { type MetricsRow, type RunInfo, readInfo, readMetrics, readSamples } from './run.ts';

/** A run's settings, checked. @throws HeedError if the run is of another kind. */
export function settingsSection<S extends z.ZodType>(schema: S, { config }: RunInfo, folder: string): z.output<S> {
  const { success, data, error } = schema.safeParse(config);
  if (success) return data;
  throw new HeedError(`The settings in "${join(folder, 'config.json')}" are wrong: ${z.prettifyError(error)}`, {
    hint: 'Was the file edited by hand, or made by another version of heed?',
  });
}

export const subtitle = (started: string, how: string, seed: number) =>
  `${how}, seed ${seed}, started ${started.slice(0, 16).replace('T', ' ')} UTC`;

/** A report's section with what went wrong in the run, and what to do about it. */
export const diagnosisSection = ({ summary, findings }: Diagnosis): Text => ({
  kind: 'text',
  title: 'Diagnosis',
  text: findings.length === 0 ? summary : findings.map(({ text, advice }) => `${text} ${advice}`).join('\n\n'),
});

/** What a run's folder has, for its report. */
interface RecordedRun extends RunInfo {
  rows: readonly MetricsRow[];
  samples: { kind: string }[];
}

/** What the report of a run adds to its name, its settings and its time. */
interface RunReport extends Pick<Report, 'summary' | 'sections'> {
  /** How it was made, for the subtitle. */
  how: string;
  title?: string;
  diagnosis?: Diagnosis;
}

/** The report of a run in a folder. @throws HeedError when the folder is not a run. */
export function reportRun(folder: string, describe: (run: RecordedRun) => RunReport): Report {
  const info = readInfo(folder);
  const rows = readMetrics(folder);
  const run = { ...info, rows, samples: readSamples(folder) as { kind: string }[] };
  const { how, title = info.name, summary, sections, diagnosis } = describe(run);
  return {
    title,
    subtitle: subtitle(info.started, how, info.seed),
    summary: [...summary, timeFigure(folder, rows)],
    sections: diagnosis ? [diagnosisSection(diagnosis), ...sections] : sections,
    config: info.config as Record<string, unknown>,
  };
}

/** The tokens that a run has learned from, for the summary of its report. */
export const tokensFigure = (rows: readonly MetricsRow[], note = 'without padding'): Report['summary'][number] => ({
  label: 'Tokens',
  value: count(rows.findLast((row) => 'tokens' in row)?.tokens ?? 0),
  note,
});

/** A table; none without rows. */
export const tableOf = (title: string, columns: Table['columns'], rows: Table['rows'], caption?: string): Table[] =>
  rows.length > 0 ? [{ kind: 'table', title, caption, columns, rows }] : [];

/** How long a run has trained, without pauses, for the summary of its report. */
export function timeFigure(folder: string, rows: readonly MetricsRow[]): Report['summary'][number] {
  const seconds = trainingSeconds(folder, rows);
  return { label: 'Time', value: Number.isFinite(seconds) ? duration(seconds) : '–' };
}

/** Lines of a chart: their names and metrics. */
export type Lines = readonly (readonly [name: string, metric: string])[];

/** The training and held-out lines of a metric. */
export const trainingAndHeldOut = (metric: string): Lines => [
  ['training', `${metric}/train`],
  ['held out', `${metric}/eval`],
];

/**
 * The lines whose metrics have finite values. x is the step unless `x` says otherwise: one number for each of a chart's
 * `xLabels`.
 */
export const seriesOf = (
  rows: readonly MetricsRow[],
  lines: Lines,
  x: (row: MetricsRow) => readonly number[] = ({ step }) => [step],
): Series[] =>
  lines.flatMap(([name, metric]) => {
    const seen = rows.filter((row) => Number.isFinite(row[metric]));
    if (seen.length === 0) return [];
    const at = seen.map(x);
    return [{ name, x: at[0].map((_, i) => at.map((values) => values[i])), y: seen.map((row) => row[metric]) }];
  });

/** A line chart over steps; none if no row has the metrics. */
export function linesOver(
  rows: readonly MetricsRow[],
  title: string,
  yLabel: string,
  caption: string,
  lines: Lines,
  xLabels: readonly string[],
): LineChart[] {
  const series = seriesOf(rows, lines);
  return series.length > 0 ? [{ kind: 'lines', title, caption, xLabels, yLabel, series }] : [];
}

/** One metric over steps. */
export function chart(
  rows: readonly MetricsRow[],
  name: string,
  title: string,
  yLabel: string,
  caption: string,
  xLabels: readonly string[] = ['environment steps'],
  x?: (row: MetricsRow) => readonly number[],
): LineChart {
  const series = seriesOf(rows, [[title, name]], x);
  // no row may have the chart's metrics yet
  const none = { name: title, x: xLabels.map(() => []), y: [] };
  return { kind: 'lines', title, caption, xLabels, yLabel, series: series.length > 0 ? series : [none] };
}

/** "400 pairs", or "80 of 400 pairs, sampled". */
export const counted = (n: number, what: string, sampledFrom: number | undefined): string =>
  sampledFrom === undefined ? `${n} ${what}` : `${n} of ${sampledFrom} ${what}, sampled`;

/** A sentence for the captions of held-out figures, if these are of a sample. */
export function sampleCaption(rows: readonly MetricsRow[], what: string): string {
  const first = rows.find((row) => 'data/heldOutOf' in row);
  if (!first) return '';
  const heldOut = `Held out: the same ${first['data/heldOut']} of ${first['data/heldOutOf']} ${what} each time, sampled by the seed`;
  const last = rows.findLast((row) => 'data/heldOut' in row)!;
  return ` ${heldOut}${'data/heldOutOf' in last ? '' : '; at the end all'}.`;
}
