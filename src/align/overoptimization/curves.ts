/** Curves of proxy and gold reward over the KL from the initial policy, from the folders of their runs. */
import { join } from '../../node.ts';
import { isRun, readMetrics, readSamples } from '../../run/run.ts';
import { bestOf, type Drawn } from '../best-of-n/best-of-n.ts';
import type { AlertRow } from '../policies/train.ts';
import type { Way } from './overoptimization.ts';

/** Best of n: R(d) = d(α − βd). RL: R(d) = d(α − β log d). */
export type OptimizationMethod = 'best-of-n' | 'rl';

/** A fitted scaling law: R(d) = d(α − βd) for best of n, R(d) = d(α − β log d) for RL. */
export interface ScalingLaw {
  /** α, the initial slope. */
  alpha: number;
  /** β, how fast the gain falls off. */
  beta: number;
  /** d of the highest gain; undefined when the gain keeps rising. */
  peak?: number;
}

const bent: Record<OptimizationMethod, (d: number) => number> = {
  'best-of-n': (d) => d * d,
  rl: (d) => (d > 0 ? d * Math.log(d) : 0),
};

/** Fits a scaling law by least squares, linear in α and β, to points with d > 0. Undefined when there are too few. */
export function fitScalingLaw(
  method: OptimizationMethod,
  points: readonly { d: number; gain: number }[],
): ScalingLaw | undefined {
  let [dd, db, bb, dg, bg] = [0, 0, 0, 0, 0];
  for (const { d, gain } of points.filter(({ d }) => d > 0)) {
    const b = bent[method](d);
    dd += d * d;
    db += d * b;
    bb += b * b;
    dg += d * gain;
    bg += b * gain;
  }
  const determinant = dd * bb - db * db;
  if (determinant <= 1e-9 * dd * bb) return undefined;
  const alpha = (dg * bb - bg * db) / determinant;
  const beta = (dg * db - bg * dd) / determinant;
  if (alpha <= 0 || beta <= 0) return { alpha, beta };
  return { alpha, beta, peak: method === 'rl' ? Math.exp(alpha / beta - 1) : alpha / (2 * beta) };
}

/** The gain R(d) that a scaling law predicts at a distance d. */
export const gainAt = (method: OptimizationMethod, { alpha, beta }: ScalingLaw, d: number): number =>
  alpha * d - beta * bent[method](d);

/** A point of a curve: a policy by its KL and its rewards. */
export interface CurvePoint {
  /** Training steps so far, or n for best of n. */
  at: number;
  /** KL from the initial policy, in nats per completion. */
  kl: number;
  /** Mean proxy reward of a completion. */
  proxy: number;
  /** Mean gold reward of a completion. */
  gold: number;
}

/** How proxy and gold reward change as a policy moves away from the initial one. */
export interface OveroptimizationCurve {
  /** The curve's name: the guards, `PPO` or `best of n`. */
  name: string;
  /** How the policy moves: `rl` or `best-of-n`. */
  method: OptimizationMethod;
  /** The points, the initial policy first. */
  points: CurvePoint[];
  /** The point of the highest gold reward. */
  peak: CurvePoint;
  /** The last point. */
  last: CurvePoint;
  /** Scaling laws of the gains over the initial policy. */
  fits: { proxy?: ScalingLaw; gold?: ScalingLaw };
  /** Metrics that left their healthy range during training, with the step and the KL where that began. */
  alerts: { metric: string; step: number; kl: number }[];
}

/** d = √KL. */
export const distance = ({ kl }: CurvePoint): number => Math.sqrt(Math.max(0, kl));

/** The curves of those ways that have started. */
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
  const fit = (kind: 'proxy' | 'gold') =>
    fitScalingLaw(
      method,
      points.map((point) => ({ d: distance(point), gain: point[kind] - start[kind] })),
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

/**
 * Standard deviations of the rewards of the initial policy's completions, the unit of gains. Undefined before the first
 * completions are drawn.
 */
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
