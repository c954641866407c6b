/** The loss of a choice in tensor ops. choice-model.ts has the same in plain numbers, with its source. */

import type { Tensor } from '../engine/graph.ts';
import { add, div, log, logSigmoid, maximum, mul, neg, sigmoid, sub } from '../engine/ops/elementwise.ts';
import type { ChoiceModel } from './choice-model.ts';

/**
 * Elementwise losses from the returns of the first and second options and the preference p (of the first) and q. The
 * shapes broadcast.
 */
export function choiceLosses(model: ChoiceModel, first: Tensor, second: Tensor, p: Tensor, q: Tensor): Tensor {
  const d = div(sub(first, second), model.scale);
  if (model.kind === 'hinge') return add(mul(p, maximum(sub(1, d), 0)), mul(q, maximum(add(d, 1), 0)));
  const logProbability = (x: Tensor) =>
    // never 0: at least half the error rate
    model.errorRate === 0 ? logSigmoid(x) : log(add(mul(sigmoid(x), 1 - model.errorRate), model.errorRate / 2));
  return neg(add(mul(p, logProbability(d)), mul(q, logProbability(neg(d)))));
}
