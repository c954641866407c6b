/** The ranges of actions that are numbers: policies and rewards see such actions in units of half their range. */
import type { Box } from '../env/environment.ts';

/** The middle and half the width of each action's range. */
export interface ActionRanges {
  middle: number[];
  half: number[];
}

const MOST = 1e9;
/** Whether a number has two bounds; very far ones, such as the largest float32, are none. */
export const isBounded = (low: number, high: number): boolean => high - low < MOST;

/** From −1 to 1. */
export const unitRanges = (size: number): ActionRanges => ({
  middle: new Array(size).fill(0),
  half: new Array(size).fill(1),
});

/** Those of a box; from −1 to 1 where it has no bounds. */
export function actionRanges({ low, high }: Box): ActionRanges {
  const ranges = unitRanges(low.length);
  for (let j = 0; j < low.length; j++) {
    const width = high[j] - low[j];
    if (width === 0 || !isBounded(low[j], high[j])) continue;
    ranges.middle[j] = low[j] + width / 2;
    ranges.half[j] = width / 2;
  }
  return ranges;
}
