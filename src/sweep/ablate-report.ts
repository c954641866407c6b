/** The report of ablations, from their folder; of unfinished ones, what is known so far. */
import { shortName } from '../env/open/own-file.ts';
import type { LineChart, Series } from '../run/report/line-chart.ts';
import type { Report, Table } from '../run/report.ts';
import { subtitle, timeFigure } from '../run/report-parts.ts';
import { readInfo, readMetrics } from '../run/run.ts';
import {
  type AblateOptions,
  ablationCells,
  ablationOwnSchema,
  ablationVariants,
  TRUE_REWARD,
  WHOLE,
} from './ablate.ts';
import { curvesOf, type LearningCurve } from './curves.ts';
import { measured, reachedOf, runSettings } from './report-parts.ts';
import { readResults } from './trained.ts';

/** The report of a run of `heed ablate`. @throws HeedError if the folder is not one. */
export function ablationReport(folder: string): Report {
  const info = readInfo(folder);
  const options: AblateOptions = runSettings(ablationOwnSchema, info, folder);
  const results = readResults(folder);
  const curves = curvesOf(results, ablationVariants(options), options.target).filter(({ seeds }) => seeds > 0);
  const whole = curves.find(({ variant }) => variant === WHOLE);
  const ablated = curves.filter(({ variant }) => variant !== WHOLE && variant !== TRUE_REWARD);
  const beside = curves.filter(({ variant }) => variant === WHOLE || variant === TRUE_REWARD);
  return {
    title: `${shortName(options.env ?? 'CartPole-v1')}: what each part of the method contributes`,
    subtitle: subtitle(info.started, `${options.seeds} seeds of each`, options.seed),
    summary: [
      ...(whole
        ? [{ label: 'The whole method', value: measured(whole.return, whole.returnInterval), note: 'return' }]
        : []),
      { label: 'Runs', value: results.length, note: `of ${ablationCells(options).length}` },
      timeFigure(folder, readMetrics(folder)),
    ],
    sections: [
      {
        ...chart('Learning curves', curves, options),
        wide: true,
        caption:
          'True return of greedy episodes, mean over the seeds. The charts below have each with its interval. After Christiano et al. 2017, figures 5 and 6.',
        series: curves.map((curve, i) => ({ ...line(curve, i), band: undefined, dashed: i >= 6 })),
      },
      table(curves),
      ...ablated.map((curve) => chart(curve.variant, [...beside, curve], options)),
    ],
    config: info.config as Record<string, unknown>,
  };
}

const line = ({ variant, steps, mean, low, high }: LearningCurve, color: number): Series => ({
  name: variant,
  x: [steps],
  y: mean,
  band: { low, high },
  color,
});

const chart = (title: string, curves: readonly LearningCurve[], { target }: AblateOptions): LineChart => ({
  kind: 'lines',
  title,
  caption: 'Mean over the seeds, and its interval (bootstrap, 95 %).',
  xLabels: ['environment steps'],
  yLabel: 'return',
  series: curves.map(line),
  levels: [{ y: target, label: 'target' }],
});

const table = (curves: readonly LearningCurve[]): Table => ({
  kind: 'table',
  title: 'At the end',
  caption:
    'Mean over the seeds of the final policy’s mean return with its interval (bootstrap, 95 %), and the seeds that reach the target return with the share’s interval (Wilson, 95 %).',
  columns: ['', 'return', 'seeds that reach the return'],
  rows: curves.map(({ variant, seeds, reached, shareInterval, ...curve }) => [
    variant,
    measured(curve.return, curve.returnInterval),
    reachedOf(reached, seeds, shareInterval),
  ]),
});
