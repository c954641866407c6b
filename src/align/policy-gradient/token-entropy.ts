/** The entropy of a policy at each token. */

import type { Tensor } from '../../engine/graph.ts';
import { exp, mul, neg } from '../../engine/ops/elementwise.ts';
import { logSoftmax } from '../../engine/ops/normalize.ts';
import { sum } from '../../engine/ops/reduce.ts';
import type { Reading } from '../../lm/packed-program.ts';
import { logitsOf } from '../../nn/decoder.ts';
import type { DecoderConfig } from '../../nn/decoder-config.ts';

/** −Σ p log p over the vocabulary at each label, in nats: [labels]. Needs memory for all logits at once. */
export function tokenEntropy({ states, head }: Reading, config: DecoderConfig, temperature = 1): Tensor {
  const logP = logSoftmax(mul(logitsOf(config, states, head), 1 / temperature));
  return neg(sum(mul(exp(logP), logP), { axes: [-1] }));
}

/**
 * A mask of the tokens with the highest entropy (Wang et al. 2025, "Beyond the 80/20 rule", §5): 1 for those at or
 * above the quantile 1 − share, which is interpolated linearly, 0 for the others.
 */
export function mostUndecided(entropies: readonly ArrayLike<number>[], share: number): Float32Array[] {
  const sorted = entropies.flatMap((own) => Array.from(own)).sort((a, b) => a - b);
  const at = (1 - share) * (sorted.length - 1);
  const low = Math.floor(at);
  const threshold = sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  return entropies.map((own) => Float32Array.from(own, (entropy) => Number(entropy >= threshold)));
}
