/** One member of the reward ensemble, from a step's input to its outputs. */

import type { Tensor } from '../../engine/graph.ts';
import { dropout } from '../../engine/ops/random.ts';
import { orthogonal } from '../../nn/initialize.ts';
import { mlp } from '../../nn/mlp.ts';
import type { ParameterSpec } from '../../nn/parameters.ts';
import type { RewardOptions } from './options.ts';

/** A member of the ensemble as a function of tensors. */
export interface RewardNetwork {
  parameters: ParameterSpec[];
  /** [n, width] → [n, outputs]. With `seed` (int32, of this gradient step), hidden units are dropped out. */
  apply(x: Tensor, seed?: Tensor): Tensor;
}

/** The `member`-th network of the ensemble; `width` numbers describe a step. */
export function rewardNetwork(member: number, width: number, outputs: number, options: RewardOptions): RewardNetwork {
  const { hidden, activation, lastGain } = options;
  const network = mlp(`reward.${member}`, {
    sizes: [width, ...hidden, outputs],
    activation,
    hidden: orthogonal(5 / 3),
    last: orthogonal(lastGain),
  });
  return {
    parameters: network.parameters,
    apply: (x, seed) =>
      network.apply(x, (h, layer) => (seed ? dropout(h, options.dropout, seed, member * hidden.length + layer) : h)),
  };
}
