/** The picture of an environment that draws none: its observation. */

import type { Box, Frame } from '../environment.ts';
import { encodePng } from './png.ts';
import { ink, line, rectangle } from './shapes.ts';

/** An image is shown as it is, other numbers as bars. */
export const pictureOf = (space: Box, observation: Float32Array): Frame =>
  space.shape ? imageOf(space.shape, observation) : barsOf(space, observation);

const MOST = 64; // bars: more are too thin to see
const [WIDTH, HALF] = [400, 75]; // units of the frame

/**
 * A bar for each of the first 64 numbers, up or down from a line. Between finite bounds it shows where the number lies,
 * otherwise x / (1 + |x|), which has a place for any number.
 */
function barsOf({ low, high }: Box, observation: Float32Array): Frame {
  const count = Math.min(observation.length, MOST);
  const share = (x: number, i: number): number => {
    const half = (high[i] - low[i]) / 2;
    return Number.isFinite(half) && half > 0
      ? Math.max(-1, Math.min(1, (x - low[i]) / half - 1))
      : x / (1 + Math.abs(x));
  };
  const wide = WIDTH / count;
  const bars = Array.from(observation.subarray(0, count), (x, i) => {
    const height = HALF * share(x, i);
    return rectangle(ink.body, (i + 0.1) * wide, HALF - Math.max(0, height), 0.8 * wide, Math.abs(height));
  });
  return { width: WIDTH, height: 2 * HALF, shapes: [...bars, line(ink.ground, 1, [0, HALF, WIDTH, HALF])] };
}

/** An image of three channels in color; of others, the first in gray. */
function imageOf([channels, height, width]: readonly number[], observation: Float32Array): Frame {
  const plane = width * height;
  const rgb = new Uint8Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = observation[i + (channels === 3 ? c * plane : 0)];
  }
  const href = `data:image/png;base64,${encodePng(rgb, width, height).toString('base64')}`;
  return { width, height, shapes: [{ kind: 'image', x: 0, y: 0, width, height, href }] };
}
