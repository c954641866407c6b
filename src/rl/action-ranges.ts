/** The ranges of continuous actions, by which policies and learned rewards rescale them to ±1. */
import { constant, type Tensor } from '../engine/graph.ts';
import { add, mul, sub } from '../engine/ops/elementwise.ts';
import type { Box } from '../env/environment.ts';

/** The center and half the width of the range of each number of an action. */
export interface ActionRanges {
  center: ArrayLike<number>;
  half: ArrayLike<number>;
}

const MOST = 1e9;
/** Whether a number has two bounds; very far ones, such as the largest float32, are none. */
export const isBounded = (low: number, high: number): boolean => high - low < MOST;

/** From −1 to 1. */
export const unitRanges = (size: number) => ({
  center: new Array<number>(size).fill(0),
  half: new Array<number>(size).fill(1),
});

/** Those of a box; from −1 to 1 where it has no bounds. */
export function actionRanges({ low, high }: Box): ActionRanges {
  const ranges = unitRanges(low.length);
  for (let j = 0; j < low.length; j++) {
    const width = high[j] - low[j];
    if (width === 0 || !isBounded(low[j], high[j])) continue;
    ranges.center[j] = low[j] + width / 2;
    ranges.half[j] = width / 2;
  }
  return ranges;
}

/** Actions [n, a] from ±1 to their ranges. */
export const fromUnits = (actions: Tensor, { center, half }: ActionRanges): Tensor =>
  add(mul(actions, row(actions, half)), row(actions, center));

/** The inverse of `fromUnits`. */
export const toUnits = (actions: Tensor, { center, half }: ActionRanges): Tensor =>
  mul(
    sub(actions, row(actions, center)),
    row(
      actions,
      Array.from(half, (width) => 1 / width),
    ),
  );

const row = ({ graph }: Tensor, numbers: ArrayLike<number>): Tensor => constant(graph, numbers, [1, numbers.length]);
