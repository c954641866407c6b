/** The report of a run on the true reward, from the run's folder. */

import { withCommas } from '../commas.ts';
import { makeEnvironment } from '../env/open/make.ts';
import { shortName } from '../env/open/own-file.ts';
import type { LineChart } from '../run/report/line-chart.ts';
import type { Report } from '../run/report.ts';
import { chart, diagnosisSection, settingsSection, subtitle, timeFigure } from '../run/report-parts.ts';
import { type MetricsRow, readInfo, readMetrics, readSamples } from '../run/run.ts';
import { diagnoseControlRun } from './diagnosis/diagnose.ts';
import { worldIn } from './diagnosis/measures.ts';
import { episodeClips } from './episodes.ts';
import { rlSchema } from './train.ts';

/** Charts of the metrics that algorithms have. */
const CHARTS: [name: string, title: string, yLabel: string, caption: string][] = [
  ['policy/entropy', 'Entropy of the policy', 'nats', 'How undecided the policy is between actions.'],
  [
    'policy/approx_kl',
    'Policy change per update',
    'KL, nats',
    'How far an update moves the policy. Large values mean updates that are too bold.',
  ],
  ['temperature', 'Temperature', 'reward per nat', 'Reward that the policy trades for a nat of entropy.'],
  [
    'value/explained_variance',
    'Explained variance of the value',
    'share',
    '1: the critic predicts returns exactly. 0: it is no better than a constant.',
  ],
  [
    'value/mean',
    "Value of the policy's actions",
    'return',
    'Mean of the smaller of the two critics, over the training transitions.',
  ],
  ['loss/value', 'Value loss', 'loss', 'Half the squared error of the critic.'],
  ['loss/critic', 'Value loss', 'loss', 'Half the squared error of both critics.'],
];

/**
 * The report of a run of `heed rl`.
 * @throws HeedError if the folder is not such a run.
 */
export function rlReport(folder: string): Report {
  const info = readInfo(folder);
  const options = settingsSection(rlSchema, info, folder);
  const rows = readMetrics(folder);
  const samples = readSamples(folder);
  const last = rows.findLast((row) => 'return/mean' in row);
  return {
    title: `${worldName(samples, options.env)}, learned from its own reward`,
    subtitle: subtitle(info.started, options.algorithm.toUpperCase(), options.seed),
    summary: [
      ...returnFigure(last, options.episodes),
      {
        label: 'Environment steps',
        value: rows.at(-1)?.step ?? 0,
        note: `of ${withCommas(options.steps)}`,
      },
      timeFigure(folder, rows),
    ],
    sections: [
      diagnosisSection(diagnoseControlRun(folder, rows, samples)),
      returnChart(rows, options.env, ['environment steps'], (row) => [row.step], { solved: solvedFrom(samples) }),
      ...algorithmCharts(rows),
      ...episodeClips(samples),
    ],
    config: info.config as Record<string, unknown>,
  };
}

/** The return from which the environment counts as solved, as recorded in the run. */
export const solvedFrom = (samples: ReturnType<typeof readSamples>): number | undefined =>
  worldIn(samples)?.rewardThreshold;

/** The name of a run's environment: its own, or in runs that did not record it the one it was opened by. */
export const worldName = (samples: ReturnType<typeof readSamples>, env: string): string =>
  worldIn(samples)?.id ?? shortName(env);

/** Charts of an algorithm's own metrics. */
export const algorithmCharts = (rows: readonly MetricsRow[]): LineChart[] =>
  CHARTS.filter(([name]) => rows.some((row) => name in row)).map((one) => chart(rows, ...one));

/** The last return, for the summary of a report. `unit`: the unit of returns that measure a behavior. */
export function returnFigure(last: MetricsRow | undefined, episodes: number, unit?: string): Report['summary'] {
  if (!last) return [];
  const [mean, std] = [last['return/mean'], last['return/std']].map((value) => value.toFixed(1).replace('-', '−'));
  const note = `± ${std} over ${episodes} greedy episodes`;
  return [{ label: unit ? 'Result' : 'Return', value: mean, note: unit ? `${unit}; ${note}` : note }];
}

/**
 * Returns of evaluations with their deviation, and the return from which the environment counts as solved, as recorded
 * in the run or known by the environment's name. `unit`: the unit of returns that measure a behavior. `taught`: only a
 * teacher knows what is better, and no return counts as solved.
 */
export function returnChart(
  rows: readonly MetricsRow[],
  env: string,
  xLabels: readonly string[],
  x: (row: MetricsRow) => number[],
  { solved, unit, taught = false }: { solved?: number; unit?: string; taught?: boolean },
): LineChart {
  const seen = rows.filter((row) => 'return/mean' in row);
  const mean = seen.map((row) => row['return/mean']);
  const std = seen.map((row) => row['return/std']);
  const level = taught ? undefined : (solved ?? thresholdOf(env));
  const what = unit ? 'Result' : 'True return';
  return {
    kind: 'lines',
    wide: true,
    title: taught ? "The environment's return" : 'Return',
    caption: `${taught ? "The environment's own return, which is not what the teacher judges by," : what} of greedy episodes from seeds that training never used: mean, and one standard deviation around it.`,
    xLabels,
    yLabel: unit ?? 'return',
    series: [
      {
        name: 'return',
        x: xLabels.map((_, i) => seen.map((row) => x(row)[i])),
        y: mean,
        band: { low: mean.map((m, i) => m - std[i]), high: mean.map((m, i) => m + std[i]) },
      },
    ],
    levels: level === undefined ? [] : [{ y: level, label: 'solved' }],
  };
}

function thresholdOf(env: string): number | undefined {
  try {
    return makeEnvironment(env).rewardThreshold;
  } catch {
    return undefined; // a user's environment, which only the training program knows
  }
}
