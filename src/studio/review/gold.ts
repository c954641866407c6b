import { wilson } from '../../run/intervals.ts';

/** Share of gold items that a careful annotator gets right. */
const CAREFUL = 0.7;

/** Whether an annotator fails gold items more often than by bad luck: the 95 % interval lies below the usual share. */
export const failsGold = ({ right, n }: { right: number | null; n: number }): boolean =>
  right !== null && wilson(right, n)[1] < CAREFUL;
