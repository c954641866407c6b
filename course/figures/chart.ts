/** A chart in SVG: lines, bars and dots over two axes. */
import { type Attributes, colors, svg } from './elements.ts';

/** A line, bars or dots of a chart. */
export interface Series {
  /** What it shows, for the legend. */
  name?: string;
  color: keyof typeof colors;
  kind: 'line' | 'dashed' | 'bars' | 'dots';
  /** Horizontal and vertical coordinates. */
  points: readonly (readonly [x: number, y: number])[];
  /** Width of a bar, in units of x. */
  width?: number;
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [360, 230, 44, 10, 24, 36];

/** The axes of a chart: their ranges and labels, and where the horizontal one has numbers. */
export interface Axes {
  x: readonly [number, number];
  y: readonly [number, number];
  xLabel: string;
  yLabel: string;
  ticks?: readonly number[];
}

/** A chart. The function that it gives draws series anew; `label` says in words what is to be seen. */
export function chart(
  root: HTMLElement,
  { x, y, xLabel, yLabel, ticks = [x[0], (x[0] + x[1]) / 2, x[1]] }: Axes,
): (label: string, series: readonly Series[]) => void {
  const picture = svg('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: 'img',
    style: 'width: 100%; max-width: 34rem; height: auto; font-size: 12px',
  });
  root.append(picture);
  const across = (value: number) => LEFT + ((value - x[0]) / (x[1] - x[0])) * (WIDTH - LEFT - RIGHT);
  const up = (value: number) => HEIGHT - BOTTOM - ((value - y[0]) / (y[1] - y[0])) * (HEIGHT - TOP - BOTTOM);
  const inside = (value: number) => Math.max(TOP, Math.min(HEIGHT - BOTTOM, up(value)));
  const text = (content: string, attributes: Attributes) => svg('text', { fill: colors.ink, ...attributes }, content);
  const round = (value: number) => String(Number(value.toFixed(2))).replace('-', '−');
  const anchor = (value: number) => (value === x[0] ? 'start' : value === x[1] ? 'end' : 'middle');
  const frame = [
    ...[0, 0.5, 1]
      .map((share) => y[0] + share * (y[1] - y[0]))
      .flatMap((value) => [
        svg('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: up(value), y2: up(value), stroke: colors.line }),
        text(round(value), { x: LEFT - 6, y: up(value) + 4, 'text-anchor': 'end' }),
      ]),
    ...ticks.map((value) =>
      text(round(value), { x: across(value), y: HEIGHT - BOTTOM + 15, 'text-anchor': anchor(value) }),
    ),
    text(xLabel, { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 5, 'text-anchor': 'middle' }),
    text(yLabel, { x: 2, y: 12 }),
  ];
  const shape = ({ color, kind, points, width = 0.8 }: Series): SVGElement[] => {
    const paint = colors[color];
    if (kind === 'dots')
      return points.map(([a, b]) => svg('circle', { cx: across(a), cy: inside(b), r: 5, fill: paint }));
    if (kind === 'bars') {
      const zero = inside(0);
      return points.map(([a, b]) => {
        const [left, right] = [across(a - width / 2), across(a + width / 2)];
        const [top, bottom] = [Math.min(zero, inside(b)), Math.max(zero, inside(b))];
        return svg('rect', { x: left, y: top, width: right - left, height: Math.max(1, bottom - top), fill: paint });
      });
    }
    const line = points.map(([a, b]) => `${across(a).toFixed(1)},${inside(b).toFixed(1)}`).join(' ');
    const dashes = kind === 'dashed' ? { 'stroke-dasharray': '5 4' } : { 'stroke-dasharray': 'none' };
    return [svg('polyline', { points: line, fill: 'none', stroke: paint, 'stroke-width': 2.5, ...dashes })];
  };
  return (label, series) => {
    picture.setAttribute('aria-label', label);
    const named = series.filter(({ name }) => name);
    const legend = named.map(({ name = '', color, kind }, i) => {
      const sample = svg('tspan', { fill: colors[color] }, kind === 'dashed' ? '╌ ' : kind === 'dots' ? '● ' : '━ ');
      const place = { x: WIDTH - RIGHT - 100 * (named.length - i - 1), y: 12, 'text-anchor': 'end', fill: colors.ink };
      return svg('text', place, sample, name);
    });
    picture.replaceChildren(...frame, ...series.flatMap(shape), ...legend);
  };
}

/** Points of a function at evenly spaced places. */
export const plot = (from: number, to: number, f: (x: number) => number, steps = 120): [number, number][] =>
  Array.from({ length: steps + 1 }, (_, i) => from + ((to - from) * i) / steps).map((at) => [at, f(at)]);
