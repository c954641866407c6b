/** The scaling laws of Gao et al. (2022, §3) for the gain of a reward, with d = √KL from the initial policy. */

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
