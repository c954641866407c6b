/** Log-probabilities of labels, without the logits of all tokens in memory at once. */

import { type Tensor, withGradient } from '../engine/graph.ts';
import { exp, mul, neg, square, sub } from '../engine/ops/elementwise.ts';
import { gatherElements, scatterElementsAdd } from '../engine/ops/gather.ts';
import { linear, matmul } from '../engine/ops/matmul.ts';
import { logSoftmax } from '../engine/ops/normalize.ts';
import { concat, reshape, split, unsqueeze } from '../engine/ops/shape.ts';
import { cappedLogits, type LogitScaling } from './decoder.ts';

/** How labels are scored. */
export interface LabelOptions extends LogitScaling {
  /** Logits are divided by this; 1 by default. */
  temperature?: number;
  /** How many tokens' logits are computed at a time; by default as many as stay in the last cache. */
  chunk?: number;
}

/** log p(label) of each hidden state. hidden [n, width] with a number n, head [vocabulary, width], labels [n] → [n]. */
export function labelLogProbabilities(
  hidden: Tensor,
  head: Tensor,
  labels: Tensor,
  options: LabelOptions = {},
): Tensor {
  const n = Number(hidden.shape[0]);
  const { chunk = Math.max(1, Math.floor(LOGITS_AT_ONCE / Number(head.shape[0]))), temperature = 1 } = options;
  const size = Math.ceil(n / Math.ceil(n / chunk)); // all alike, but for the last
  const sizes = Array.from({ length: Math.ceil(n / size) }, (_, i) => Math.min(size, n - i * size));
  const labelParts = split(labels, sizes, 0);
  const parts = split(hidden, sizes, 0).map((part, i) =>
    chunkLogProbabilities(part, head, labelParts[i], { ...options, temperature }),
  );
  return concat(parts, 0);
}

const LOGITS_AT_ONCE = 1 << 23; // 32 MiB: they stay in the last cache between one pass and the next

function chunkLogProbabilities(hidden: Tensor, head: Tensor, labels: Tensor, options: LabelOptions): Tensor {
  const { temperature = 1, logitScale, logitSoftCap } = options;
  const logits = cappedLogits(options, linear(hidden, head));
  const logP = logSoftmax(temperature === 1 ? logits : mul(logits, 1 / temperature));
  const at = unsqueeze(labels, 1);
  const chosen = reshape(gatherElements(logP, at, 1), [hidden.shape[0]]);
  return withGradient([hidden, head], chosen, (dy) => {
    const scale = unsqueeze(temperature === 1 ? dy : mul(dy, 1 / temperature), 1);
    // d log p(label) / d logits = onehot(label) − p
    const dLogits = scatterElementsAdd(mul(exp(logP), neg(scale)), at, scale, 1);
    const dScaled = logitSoftCap === undefined ? dLogits : mul(dLogits, sub(1, square(mul(logits, 1 / logitSoftCap))));
    const dProducts = logitScale === undefined ? dScaled : mul(dScaled, logitScale);
    return [matmul(dProducts, head), matmul(dProducts, hidden, { transposeA: true })];
  });
}
