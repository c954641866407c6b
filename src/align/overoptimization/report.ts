/** The report of over-optimization, from the run's folder and the folders of its ways. */
import { join } from '../../node.ts';
import { figure } from '../../run/progress.ts';
import type { LineChart, Series } from '../../run/report/line-chart.ts';
import type { Report, Table } from '../../run/report.ts';
import { reportRun, settingsSection, tableOf } from '../../run/report-parts.ts';
import { readSamples } from '../../run/run.ts';
import {
  type CurvePoint,
  distance,
  gainAt,
  type OptimizationMethod,
  type OveroptimizationCurve,
  readCurves,
  spreadAtStart,
} from './curves.ts';
import { overoptimizationSchema, waysOf } from './overoptimization.ts';

/** The report of a run of `heed overoptimization`. @throws HeedError when the folder is not a run. */
export function overoptimizationReport(folder: string): Report {
  return reportRun(folder, (info) => {
    const ways = waysOf(settingsSection(overoptimizationSchema, info, folder));
    const curves = readCurves(folder, ways);
    const spread = spreadAtStart(folder, ways) ?? { proxy: 1, gold: 1 };
    const curvesOf = (method: OptimizationMethod) => curves.filter((curve) => curve.method === method);
    const [free] = curvesOf('rl');
    return {
      how: 'over-optimization',
      summary: [
        ...(free
          ? [
              { label: 'Gold at its peak', value: figure(free.peak.gold), note: `from ${figure(free.points[0].gold)}` },
              { label: 'KL there', value: figure(free.peak.kl), note: 'nats per completion, PPO without a guard' },
              { label: 'Gold at the end', value: figure(free.last.gold), note: `at a KL of ${figure(free.last.kl)}` },
            ]
          : []),
      ],
      sections: [
        ...chart('Best of n', curvesOf('best-of-n'), spread),
        ...chart('PPO', curvesOf('rl'), spread),
        ...fitted(curvesOf('best-of-n').slice(0, 1).concat(curvesOf('rl').slice(0, 1))),
        ...numbers(curves),
        ...(free ? completions(join(folder, ways.find(({ method }) => method === 'rl')!.folder), free) : []),
      ],
    };
  });
}

function chart(
  title: string,
  curves: readonly OveroptimizationCurve[],
  spread: { proxy: number; gold: number },
): LineChart[] {
  if (curves.length === 0) return [];
  const [{ method }] = curves;
  const series = curves.flatMap(({ name, points }, color) =>
    (['proxy', 'gold'] as const).map((kind): Series => {
      const x = [points.map(distance), points.map(({ at }) => at)];
      const y = points.map((point) => (point[kind] - points[0][kind]) / spread[kind]);
      return { name: `${name}, ${kind}`, x, y, color, dashed: kind === 'gold' };
    }),
  );
  return [
    {
      kind: 'lines',
      wide: true,
      title: `${title}: proxy and gold`,
      caption:
        'Gain over the initial policy, in standard deviations of its rewards. The proxy (solid) is optimized; gold (dashed) is the true goal.',
      xLabels: ['√KL from the start', method === 'rl' ? 'steps' : 'n'],
      yLabel: 'gain',
      series,
    },
  ];
}

const farthest = (points: readonly CurvePoint[]) => Math.max(...points.map(distance));

/** Gold of the ways without guards, beside the scaling law of Gao et al. */
function fitted(curves: readonly OveroptimizationCurve[]): LineChart[] {
  return curves.flatMap(({ name, method, points, fits: { gold } }): LineChart[] => {
    if (!gold) return [];
    const x = Array.from({ length: 101 }, (_, i) => (farthest(points) * i) / 100);
    return [
      {
        kind: 'lines',
        title: `${name}: gold and its fit`,
        caption: `Gained gold, and d (α − β ${method === 'rl' ? 'log d' : 'd'}) with d = √KL, α = ${figure(gold.alpha)}, β = ${figure(gold.beta)}.`,
        xLabels: ['√KL from the start'],
        yLabel: 'gold gained',
        series: [
          {
            name: 'measured',
            x: [points.map(distance)],
            y: points.map((point) => point.gold - points[0].gold),
            dashed: true,
          },
          { name: 'fit', x: [x], y: x.map((d) => gainAt(method, gold, d)), color: 5 },
        ],
      },
    ];
  });
}

const NUMBERS = ['gold at its peak', 'KL', 'proxy', 'gold at the end', 'KL', 'proxy', 'α', 'β', 'peak of the fit, KL'];

const numbers = (curves: readonly OveroptimizationCurve[]) =>
  tableOf(
    'Where gold turns',
    ['', ...NUMBERS, 'alerts'],
    curves.map(({ name, points, peak, last, fits: { gold }, alerts }) => [
      name,
      ...[peak, last].flatMap(({ gold, kl, proxy }) => [figure(gold), figure(kl), figure(proxy)]),
      ...(gold ? [figure(gold.alpha), figure(gold.beta)] : ['', '']),
      gold?.peak === undefined || gold.peak > farthest(points) ? 'not reached' : figure(gold.peak ** 2),
      alerts.map(({ metric, step, kl }) => `${metric} at step ${step} (KL ${figure(kl)})`).join(', '),
    ]),
    'α and β are those of the law for gold. Alerts come from training metrics, which do not include gold.',
  );

const SHOWN = 3;

/** Completions of the same prompts with the same draws: at the start, where gold is highest, and at the end. */
function completions(folder: string, { points, peak }: OveroptimizationCurve): Table[] {
  const samples = (readSamples(folder) as { kind: string; step: number; prompt: string; text: string }[]).filter(
    ({ kind }) => kind === 'completion',
  );
  const steps = [...new Set(samples.map(({ step }) => step))];
  if (steps.length < 2) return [];
  const shown = [0, points.indexOf(peak), steps.length - 1].map((i) => samples.filter(({ step }) => step === steps[i]));
  const rows = shown[0].slice(0, SHOWN).map(({ prompt }, i) => [prompt, ...shown.map((all) => all[i]?.text ?? '')]);
  const columns = ['prompt', 'at the start', 'where gold is highest', 'at the end'];
  return tableOf('Completions of PPO without a guard', columns, rows);
}
