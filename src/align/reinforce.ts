import { clip, exp, minimum, mul, neg, sub, sum } from '../engine/index.ts';
import type { PackedLoss } from '../lm/packed-program.ts';

/**
 * The loss as a packed program makes it. Inputs: by sequence `gain` (A/n), 0 in spare places, and where it is clipped `old` (log π_old of the answer).
 */
export const reinforceLoss =
  (epsilon?: number): PackedLoss =>
  ({ logP, perSequence, sums }) => {
    const gain = perSequence('gain');
    if (epsilon === undefined) return { loss: neg(sum(mul(sums(logP), gain))) };
    const ratio = exp(sub(sums(logP), perSequence('old')));
    return { loss: neg(sum(minimum(mul(ratio, gain), mul(clip(ratio, 1 - epsilon, 1 + epsilon), gain)))) };
  };
