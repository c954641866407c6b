// says: The turn of gold 0, 3, 2, −1 is at 3: yours is -1.
import type { Point } from '../exercise.ts';

export { curve, kl, pessimistic, tilt } from '../solution.ts';

export const turn = (points: readonly Point[]): Point =>
  points.reduce((best, point) => (point.proxy > best.proxy ? point : best));
