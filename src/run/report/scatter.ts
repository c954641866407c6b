/** Points in a plane, as SVG. */

import { domainOf, plane, px } from './axes.ts';
import { escaped } from './html.ts';

/** A section with a scatter plot. */
export interface Scatter {
  /** Tells this section from the others. */
  kind: 'scatter';
  /** Heading. */
  title: string;
  /** Plain text below the plot. */
  caption?: string;
  /** What x is, with its unit. */
  xLabel: string;
  /** What y is, with its unit. */
  yLabel: string;
  /** Coordinates of the points; both arrays are of one length. */
  points: { x: ArrayLike<number>; y: ArrayLike<number> };
  /** Names beside the points; for few points. */
  names?: readonly string[];
  /** Whether each point is drawn as a ring. */
  hollow?: readonly boolean[];
  /** Draws the least-squares line through the points. */
  fit?: boolean;
}

/** More points would cover one another. */
const MOST_POINTS = 2000;

export function drawScatter(scatter: Scatter, width: number, height: number): string {
  const { title, xLabel, yLabel, points, fit, names, hollow } = scatter;
  const every = Math.max(1, points.x.length / MOST_POINTS);
  const shown: [x: number, y: number, index: number][] = [];
  for (let i = 0; i < points.x.length; i += every) {
    const index = Math.floor(i);
    const [x, y] = [points.x[index], points.y[index]];
    if (Number.isFinite(x) && Number.isFinite(y)) shown.push([x, y, index]);
  }
  const xs = domainOf(
    shown.map(([x]) => x),
    { fromZero: false },
  );
  const ys = domainOf(
    shown.map(([, y]) => y),
    { fromZero: false },
  );
  if (!xs || !ys) return '';
  const on = plane(width, height, xs, ys, { x: xLabel, y: yLabel });
  const radius = names ? 4.5 : 2.6;
  const dots = shown.map(
    ([x, y, i]) =>
      `<circle${hollow?.[i] ? ' class="hollow"' : ''} cx="${px(on.x(x))}" cy="${px(on.y(y))}" r="${radius}"/>`,
  );
  const named = names
    ? labels(
        shown.map(([x, y, i]) => [on.x(x), on.y(y), names[i]]),
        width,
      )
    : '';
  const label = `${title}: ${shown.length} points, ${yLabel} by ${xLabel}.`;
  const line = fit ? leastSquares(shown) : undefined;
  const ends = line && [Math.min(...shown.map(([x]) => x)), Math.max(...shown.map(([x]) => x))];
  const fitted = ends
    ? `<path class="fit" d="M${ends.map((x) => `${px(on.x(x))} ${px(on.y(line(x)))}`).join('L')}"/>`
    : '';
  return `<svg class="plot w${width} x0" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}">${on.grid}${named}<g class="points">${dots.join('')}</g>${fitted}</svg>`;
}

/** Points within this distance, in pixels, have their names side by side. */
const NEAR = 14;

function labels(points: readonly (readonly [x: number, y: number, name: string])[], width: number): string {
  const groups: { x: number; y: number; names: string[] }[] = [];
  for (const [x, y, name] of points) {
    const near = groups.find((group) => Math.hypot(group.x - x, group.y - y) < NEAR);
    if (near) near.names.push(name);
    else groups.push({ x, y, names: [name] });
  }
  return groups
    .map(({ x, y, names }) => {
      const before = x > width * 0.7;
      const at = `x="${px(x + (before ? -9 : 9))}" y="${px(y - 7)}"${before ? ' text-anchor="end"' : ''}`;
      return `<text class="level-name" ${at}>${escaped(names.join(', '))}</text>`;
    })
    .join('');
}

function leastSquares(
  points: readonly [x: number, y: number, ...rest: number[]][],
): ((x: number) => number) | undefined {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  if (spread === 0) return undefined;
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  return (x) => meanY + slope * (x - meanX);
}
