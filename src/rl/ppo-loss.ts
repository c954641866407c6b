/** The terms of PPO's loss (Schulman et al. 2017), in tensor ops; the control and the language half share them. */
import {
  abs,
  add,
  cast,
  clip,
  exp,
  greater,
  maskedMean,
  maximum,
  mean,
  mul,
  neg,
  type Operand,
  square,
  sub,
  type Tensor,
  where,
} from '../engine/index.ts';

/** Mean over all elements, or over those where the mask is 1. */
const average = (x: Tensor, mask?: Tensor): Tensor => (mask ? maskedMean(x, mask) : mean(x));

/**
 * −E[min(ρA, clip(ρ, 1 − ε, 1 + ε)A)] with ρ = π(a|s)/π_old(a|s) (§3, equation 7), by the equal min(ρA, A + ε|A|): where
 * the clipped term is the smaller, it is that bound. All tensors have one shape. `clipFraction` is the share of such
 * elements.
 */
export function policyLoss(
  { logProbs, oldLogProbs, advantages }: { logProbs: Tensor; oldLogProbs: Tensor; advantages: Tensor },
  epsilon: Operand,
  mask?: Tensor,
): { loss: Tensor; ratio: Tensor; logRatio: Tensor; clipFraction: Tensor } {
  const logRatio = sub(logProbs, oldLogProbs);
  const ratio = exp(logRatio);
  const plain = mul(ratio, advantages);
  const bound = add(advantages, mul(abs(advantages), epsilon));
  const clipped = greater(plain, bound);
  return {
    loss: neg(average(where(clipped, bound, plain), mask)),
    ratio,
    logRatio,
    clipFraction: average(cast(clipped, 'float32'), mask),
  };
}

/**
 * ½E[(V − R)²]; with a clip range, the larger of that and of the loss of V kept within it of V_old (the reference
 * implementation's, not the paper's).
 */
export function valueLoss(
  { values, returns, oldValues }: { values: Tensor; returns: Tensor; oldValues?: Tensor },
  range?: number,
  mask?: Tensor,
): { loss: Tensor; clipFraction?: Tensor } {
  const plain = square(sub(values, returns));
  if (range === undefined || !oldValues) return { loss: mul(average(plain, mask), 0.5) };
  const kept = add(oldValues, clip(sub(values, oldValues), -range, range));
  const clipped = square(sub(kept, returns));
  return {
    loss: mul(average(maximum(plain, clipped), mask), 0.5),
    clipFraction: average(cast(greater(clipped, plain), 'float32'), mask),
  };
}

export const klEstimators = ['k1', 'k2', 'k3'] as const;
export type KlEstimator = (typeof klEstimators)[number];

/**
 * An estimate of KL(π_old ‖ π) at samples of π_old, elementwise from log π − log π_old (Schulman, "Approximating KL
 * Divergence"): k1 = −log ρ is unbiased, k2 = ½(log ρ)² has less variance, k3 = ρ − 1 − log ρ both and is never negative.
 */
export function approximateKl(logRatio: Tensor, estimator: KlEstimator = 'k3'): Tensor {
  if (estimator === 'k1') return neg(logRatio);
  if (estimator === 'k2') return mul(square(logRatio), 0.5);
  return sub(sub(exp(logRatio), 1), logRatio);
}
