/** How undecided a policy is at each token. */
import { exp, input, linear, logSoftmax, mul, neg, sum, type Tensor } from '../../engine/index.ts';
import type { Reading } from '../../lm/packed-program.ts';
import { type DecoderConfig, headName } from '../../nn/index.ts';

/** −Σ p log p over the vocabulary where each label is told, in nats: [labels]. All logits stand in memory at once. */
export function tokenEntropy({ states }: Reading, config: DecoderConfig, temperature = 1): Tensor {
  const head = input(states.graph, headName(config), [config.vocabularySize, config.hiddenSize]);
  const logP = logSoftmax(mul(linear(states, head), 1 / temperature));
  return neg(sum(mul(exp(logP), logP), { axes: [-1] }));
}

/**
 * 1 for the share of tokens of the highest entropy, 0 for the others (Wang et al. 2025, "Beyond the 80/20 rule", §5): those from the
 * quantile 1 − share up, which is between two values where it falls there.
 */
export function mostUndecided(entropies: readonly ArrayLike<number>[], share: number): Float32Array[] {
  const sorted = entropies.flatMap((own) => Array.from(own)).sort((a, b) => a - b);
  const at = (1 - share) * (sorted.length - 1);
  const low = Math.floor(at);
  const threshold = sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  return entropies.map((own) => Float32Array.from(own, (entropy) => Number(entropy >= threshold)));
}
