/** Curves of proxy and gold over the distance from the policy at the start, from the folders of the runs that went there. */
import { join } from 'node:path';
import { isRun, readMetrics, readSamples } from '../../run/index.ts';
import { bestOf, type Drawn } from '../best-of-n/best-of-n.ts';
import type { AlertRow } from '../policies/train.ts';
import { fitScalingLaw, type Method, type ScalingLaw } from './fit.ts';
import type { Way } from './overoptimization.ts';

export interface CurvePoint {
  /** Steps of the training so far, or the n that the best was taken of. */
  at: number;
  /** From the policy at the start, in nats an answer. */
  kl: number;
  /** Means over answers. */
  proxy: number;
  gold: number;
}

export interface OveroptimizationCurve {
  name: string;
  method: Method;
  /** From the start on. */
  points: CurvePoint[];
  /** Where gold is highest. */
  peak: CurvePoint;
  last: CurvePoint;
  /** Of what is gained since the start. */
  fits: { proxy?: ScalingLaw; gold?: ScalingLaw };
  /** What left its healthy range in the training, and at which step and KL that began. */
  alerts: { metric: string; step: number; kl: number }[];
}

export const distance = ({ kl }: CurvePoint): number => Math.sqrt(Math.max(0, kl));

/** The curves of ways that have begun. */
export const readCurves = (folder: string, ways: readonly Way[]): OveroptimizationCurve[] =>
  ways.flatMap((way) => {
    const inner = join(folder, way.folder);
    if (!isRun(inner)) return [];
    const points = way.method === 'rl' ? pointsOfTraining(inner) : pointsOfDraws(drawnIn(inner));
    if (points.length === 0) return [];
    return [curveOf(way, points, inner)];
  });

function curveOf({ name, method }: Way, points: CurvePoint[], folder: string): OveroptimizationCurve {
  const [start] = points;
  const fit = (of: 'proxy' | 'gold') =>
    fitScalingLaw(
      method,
      points.map((point) => ({ d: distance(point), gain: point[of] - start[of] })),
    );
  return {
    name,
    method,
    points,
    peak: points.reduce((best, point) => (point.gold > best.gold ? point : best)),
    last: points.at(-1)!,
    fits: { proxy: fit('proxy'), gold: fit('gold') },
    alerts: alertsIn(folder),
  };
}

const pointsOfTraining = (folder: string): CurvePoint[] =>
  readMetrics(folder)
    .filter((row) => 'reward/gold' in row)
    .map((row) => ({ at: row.step, kl: row['eval/kl'], proxy: row['eval/reward'], gold: row['reward/gold'] }));

const pointsOfDraws = (drawn: readonly Drawn[]): CurvePoint[] =>
  drawn.length === 0 ? [] : bestOf(drawn).map(({ n, kl, reward, gold }) => ({ at: n, kl, proxy: reward, gold: gold! }));

const drawnIn = (folder: string) => readSamples(folder) as unknown as Drawn[];

function alertsIn(folder: string): OveroptimizationCurve['alerts'] {
  const rows = readMetrics(folder);
  const alerts = (readSamples(folder) as unknown as AlertRow[]).filter(({ kind }) => kind === 'alert');
  return alerts
    .filter(({ metric }, i) => alerts.findIndex((other) => other.metric === metric) === i)
    .map(({ metric, step }) => ({
      metric,
      step,
      kl: rows.find((row) => row.step === step)?.['kl/mean'] ?? Number.NaN,
    }));
}

/** How far single answers of the policy at the start lie apart: what a gain is measured by. Undefined before the first are drawn. */
export function spreadAtStart(folder: string, [first]: readonly Way[]): { proxy: number; gold: number } | undefined {
  const inner = join(folder, first.folder);
  const drawn = isRun(inner) ? drawnIn(inner) : [];
  if (drawn.length === 0) return undefined;
  return {
    proxy: deviation(drawn.flatMap(({ rewards }) => rewards)),
    gold: deviation(drawn.flatMap(({ gold }) => gold!)),
  };
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) || 1;
}
