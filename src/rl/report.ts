/** The report of a run of PPO on the true reward, from what its folder holds. */
import { join } from 'node:path';
import { z } from 'zod';
import { makeEnvironment } from '../env/index.ts';
import { HeedError } from '../error.ts';
import { type LineChart, type MetricsRow, type Report, type RunInfo, readInfo, readMetrics } from '../run/index.ts';
import { duration } from '../run/progress.ts';
import { rlSchema } from './train.ts';

/** Throws a HeedError where the folder is not such a run. */
export function ppoReport(folder: string): Report {
  const info = readInfo(folder);
  const options = settingsOf(rlSchema, info, folder);
  const rows = readMetrics(folder);
  const last = rows.findLast((row) => 'return/mean' in row);
  return {
    title: `${options.env}, learned from its own reward`,
    subtitle: subtitle(info.started, 'PPO', options.seed),
    summary: [
      ...returnFigure(last, options.episodes),
      {
        label: 'Environment steps',
        value: rows.at(-1)?.step ?? 0,
        note: `of ${options.steps.toLocaleString('en-US')}`,
      },
      { label: 'Time', value: elapsed(rows) },
    ],
    sections: [
      returnChart(rows, options.env, ['environment steps'], (row) => [row.step]),
      chart(rows, 'policy/entropy', 'Entropy of the policy', 'nats', 'How undecided the policy is between actions.'),
      chart(
        rows,
        'policy/approx_kl',
        'Change of the policy an update',
        'KL, nats',
        'How far an update moves the policy. Large values mean updates that are too bold.',
      ),
      chart(
        rows,
        'value/explained_variance',
        'Explained variance of the value',
        'share',
        '1: the critic foresees returns. 0: no better than a constant.',
      ),
      chart(rows, 'loss/value', 'Value loss', 'loss', 'Half the squared error of the critic.'),
    ],
    config: info.config as Record<string, unknown>,
  };
}

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

export function returnFigure(last: MetricsRow | undefined, episodes: number): Report['summary'] {
  if (!last) return [];
  const [mean, std] = [last['return/mean'], last['return/std']].map((value) => value.toFixed(1).replace('-', '−'));
  return [{ label: 'Return', value: mean, note: `± ${std} over ${episodes} greedy episodes` }];
}

/** Wall time from the first row to the last; the pause before a resumption counts. */
export const elapsed = (rows: readonly MetricsRow[]) =>
  rows.length > 1 ? duration(rows[rows.length - 1].time - rows[0].time) : '–';

/** Returns of evaluations with their deviation, and the return from which the environment counts as solved. */
export function returnChart(
  rows: readonly MetricsRow[],
  env: string,
  xLabels: readonly string[],
  x: (row: MetricsRow) => number[],
): LineChart {
  const seen = rows.filter((row) => 'return/mean' in row);
  const mean = seen.map((row) => row['return/mean']);
  const std = seen.map((row) => row['return/std']);
  const solved = thresholdOf(env);
  return {
    kind: 'lines',
    wide: true,
    title: 'Return',
    caption:
      'True return of greedy episodes from seeds that training never used: mean, and one standard deviation around it.',
    xLabels,
    yLabel: 'return',
    series: [
      {
        name: 'return',
        x: xLabels.map((_, i) => seen.map((row) => x(row)[i])),
        y: mean,
        band: { low: mean.map((m, i) => m - std[i]), high: mean.map((m, i) => m + std[i]) },
      },
    ],
    levels: solved === undefined ? [] : [{ y: solved, label: 'solved' }],
  };
}

function thresholdOf(env: string): number | undefined {
  try {
    return makeEnvironment(env).rewardThreshold;
  } catch {
    return undefined; // an environment of one's own, which only the program that trained knows
  }
}

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
