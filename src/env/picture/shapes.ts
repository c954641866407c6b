/** Shapes that several environments draw. Coordinates are rounded, since clips are stored and sent as JSON. */

import type { FrameShape } from '../environment.ts';

/** Colors of ground and ink, the same in all environments' pictures. */
export const ink = { ground: '#2f3640', body: '#3d5a98', part: '#c9822b', joint: '#7a86b8', goal: '#c0392b' } as const;

const round = (x: number) => Math.round(x * 100) / 100;

/** A filled polygon; points are x, y, x, y, … */
export const polygon = (fill: string, points: number[]): FrameShape => ({
  kind: 'polygon',
  points: points.map(round),
  fill,
});

/** A line through points x, y, x, y, … */
export const line = (stroke: string, width: number, points: number[]): FrameShape => ({
  kind: 'line',
  points: points.map(round),
  stroke,
  width,
});

/** A filled circle. */
export const circle = (fill: string, x: number, y: number, radius: number): FrameShape => ({
  kind: 'circle',
  x: round(x),
  y: round(y),
  radius,
  fill,
});

/** A bar with a length and a thickness from (x, y), turned by `angle` radians clockwise from straight up. */
export function bar(fill: string, x: number, y: number, angle: number, length: number, thickness: number): FrameShape {
  const along = [Math.sin(angle) * length, -Math.cos(angle) * length];
  const across = [(Math.cos(angle) * thickness) / 2, (Math.sin(angle) * thickness) / 2];
  return polygon(fill, [
    x - across[0],
    y - across[1],
    x + across[0],
    y + across[1],
    x + across[0] + along[0],
    y + across[1] + along[1],
    x - across[0] + along[0],
    y - across[1] + along[1],
  ]);
}

/** An upright rectangle by its left, top, width and height. */
export const rectangle = (fill: string, x: number, y: number, width: number, height: number): FrameShape =>
  polygon(fill, [x, y, x + width, y, x + width, y + height, x, y + height]);

/** A pole of `height` at (x, y) with a pennant at its top. */
export const flag = (fill: string, x: number, y: number, height: number): FrameShape[] => [
  line(ink.ground, 2, [x, y, x, y - height]),
  polygon(fill, [x, y - height, x + 18, y - height + 6, x, y - height + 12]),
];
