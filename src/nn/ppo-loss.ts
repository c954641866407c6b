/** The terms of PPO's loss (Schulman et al. 2017) as traced tensors, for control and for language models. */

import type { Tensor } from '../engine/graph.ts';
import {
  abs,
  add,
  cast,
  clip,
  exp,
  greater,
  maximum,
  mul,
  neg,
  type Operand,
  square,
  sub,
  where,
} from '../engine/ops/elementwise.ts';
import { maskedMean, mean } from '../engine/ops/reduce.ts';

/** Mean over all elements, or over those where the mask is 1. */
const average = (x: Tensor, mask?: Tensor): Tensor => (mask ? maskedMean(x, mask) : mean(x));

interface PolicyTerms {
  /** log π(a|s). */
  logProbs: Tensor;
  /** log π_old(a|s). */
  oldLogProbs: Tensor;
  /** A(s, a). */
  advantages: Tensor;
}

/**
 * min(ρA, clip(ρ, 1 − ε, 1 + ε)A) of each element with ρ = π(a|s)/π_old(a|s) (§3, equation 7), by the equal
 * min(ρA, A + ε|A|): where the clipped term is the smaller, it is that bound, and `clipped` is 1. All tensors have one
 * shape.
 */
export function clippedSurrogate(
  { logProbs, oldLogProbs, advantages }: PolicyTerms,
  epsilon: Operand,
): { surrogate: Tensor; ratio: Tensor; logRatio: Tensor; clipped: Tensor } {
  const logRatio = sub(logProbs, oldLogProbs);
  const ratio = exp(logRatio);
  const plain = mul(ratio, advantages);
  const bound = add(advantages, mul(abs(advantages), epsilon));
  const clipped = greater(plain, bound);
  return { surrogate: where(clipped, bound, plain), ratio, logRatio, clipped: cast(clipped, 'float32') };
}

/** −E[clippedSurrogate], over the elements where the mask is 1. `clipFraction` is the share that is clipped. */
export function policyLoss(
  terms: PolicyTerms,
  epsilon: Operand,
  mask?: Tensor,
): { loss: Tensor; ratio: Tensor; logRatio: Tensor; clipFraction: Tensor } {
  const { surrogate, ratio, logRatio, clipped } = clippedSurrogate(terms, epsilon);
  return { loss: neg(average(surrogate, mask)), ratio, logRatio, clipFraction: average(clipped, mask) };
}

interface ValueTerms {
  /** V. */
  values: Tensor;
  /** R. */
  returns: Tensor;
  /** V_old, the values before the update. */
  oldValues: Tensor;
}

/**
 * (V − R)² of each element or, where it is larger, that of V kept within `range` of V_old; then `clipped` is 1. From
 * the reference implementation, not the paper.
 */
export function clippedSquare(
  { values, returns, oldValues }: ValueTerms,
  range: number,
): { square: Tensor; clipped: Tensor } {
  const plain = square(sub(values, returns));
  const limited = add(oldValues, clip(sub(values, oldValues), -range, range));
  const clipped = square(sub(limited, returns));
  return { square: maximum(plain, clipped), clipped: cast(greater(clipped, plain), 'float32') };
}

/** ½E[(V − R)²], over the elements where the mask is 1; with a clip range and old values, ½E[clippedSquare]. */
export function valueLoss(
  { values, returns, oldValues }: Omit<ValueTerms, 'oldValues'> & { oldValues?: Tensor },
  range?: number,
  mask?: Tensor,
): { loss: Tensor; clipFraction?: Tensor } {
  if (range === undefined || !oldValues) return { loss: mul(average(square(sub(values, returns)), mask), 0.5) };
  const larger = clippedSquare({ values, returns, oldValues }, range);
  return { loss: mul(average(larger.square, mask), 0.5), clipFraction: average(larger.clipped, mask) };
}

/** The estimators of approximateKl. */
export const klEstimators = ['k1', 'k2', 'k3'] as const;
/** An estimator of approximateKl. */
export type KlEstimator = (typeof klEstimators)[number];

/**
 * An estimate of KL(π_old ‖ π) at samples of π_old, elementwise from log π − log π_old (Schulman, "Approximating KL
 * Divergence"): k1 = −log ρ is unbiased; k2 = ½(log ρ)² has less variance; k3 = ρ − 1 − log ρ is unbiased, has less
 * variance and is never negative.
 */
export function approximateKl(logRatio: Tensor, estimator: KlEstimator = 'k3'): Tensor {
  if (estimator === 'k1') return neg(logRatio);
  if (estimator === 'k2') return mul(square(logRatio), 0.5);
  return sub(sub(exp(logRatio), 1), logRatio);
}
