/** SAC's policy: a Gaussian whose deviation depends on the state, squashed into the bounds of the action space. */

import type { Tensor } from '../engine/graph.ts';
import { add, clip, exp, mul, softplus, square, sub, tanh } from '../engine/ops/elementwise.ts';
import { sum } from '../engine/ops/reduce.ts';
import { split } from '../engine/ops/shape.ts';
import { type Space, sizeOf } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import { fanIn } from '../nn/initialize.ts';
import { mlp } from '../nn/mlp.ts';
import { fromUnits } from './action-ranges.ts';
import type { ActingPolicy } from './policy.ts';

/**
 * Its `distribution` is the likeliest action before squashing, squashed and scaled to the environment's bounds, [n, a].
 */
export interface SquashedPolicy extends ActingPolicy {
  /** Center of each element's bounds, and half of their distance. */
  center: Float32Array;
  half: Float32Array;
  /** Draws with `noise` [n, a], standard normal: the action within ±1, [n, a], and its log π, [n, 1]. */
  sample(observations: Tensor, noise: Tensor): { action: Tensor; logProbability: Tensor };
  /** From ±1 to the bounds of the environment. */
  scaled(action: Tensor): Tensor;
}

const LOG_2PI = Math.log(2 * Math.PI);
const [LOWEST, HIGHEST] = [-20, 2]; // bounds of log σ, as in the authors' implementation

/**
 * One network outputs means and log deviations, [n, 2a].
 *
 * @throws HeedError if actions are not numbers within bounds.
 */
export function createSquashedPolicy(
  observationSize: number,
  actionSpace: Space,
  options: { hidden: readonly number[]; activation: 'tanh' | 'relu' },
): SquashedPolicy {
  if (actionSpace.kind !== 'box' || ![...actionSpace.low, ...actionSpace.high].every(Number.isFinite)) {
    const got = actionSpace.kind === 'box' ? 'without bounds' : `a choice of ${actionSpace.n}`;
    throw new HeedError(`SAC needs actions that are numbers within bounds, but here an action is ${got}`, {
      hint: 'use PPO, A2C or TRPO',
    });
  }
  const { low, high } = actionSpace;
  const actionSize = sizeOf(actionSpace);
  const center = low.map((l, j) => (high[j] + l) / 2);
  const half = low.map((l, j) => (high[j] - l) / 2);
  const sizes = [observationSize, ...options.hidden, 2 * actionSize];
  const actor = mlp('actor', { sizes, activation: options.activation, hidden: fanIn, last: fanIn });
  const parts = (observations: Tensor) => split(actor.apply(observations), [actionSize, actionSize], 1);
  const scaled = (action: Tensor) => fromUnits(action, { center, half });
  return {
    observationSize,
    actionSpace,
    actionSize,
    outputSize: actionSize,
    actor,
    center,
    half,
    scaled,
    distribution: (observations) => scaled(tanh(parts(observations)[0])),
    sample(observations, noise) {
      const [mean, raw] = parts(observations);
      const logDeviation = clip(raw, LOWEST, HIGHEST);
      const u = add(mean, mul(exp(logDeviation), noise));
      // log N(u) − log(1 − tanh² u), the latter as 2(log 2 − u − softplus(−2u)), which is numerically stable
      const gaussian = mul(add(add(square(noise), mul(logDeviation, 2)), LOG_2PI), -0.5);
      const squashing = mul(sub(sub(Math.LN2, u), softplus(mul(u, -2))), 2);
      return { action: tanh(u), logProbability: sum(sub(gaussian, squashing), { axes: [1], keepDims: true }) };
    },
  };
}
