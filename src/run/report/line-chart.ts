/** Lines over steps, labels or time, as SVG. */

import { HeedError } from '../../error.ts';
import { domainOf, type Plane, plane, px, valueDomain } from './axes.ts';
import { escaped, readable } from './html.ts';

/** One line of a chart. */
export interface Series {
  /** Its name in the legend. */
  name: string;
  /** One array for each of the chart's `xLabels`; each as long as `y`, ascending. */
  x: readonly ArrayLike<number>[];
  /** NaN leaves a gap. */
  y: ArrayLike<number>;
  /** Drawn behind the line; for example the spread over seeds. */
  band?: { low: ArrayLike<number>; high: ArrayLike<number> };
  /** Number of a color in the style sheet; by default the line's position among the series. */
  color?: number;
  /** Draws the line dashed. */
  dashed?: boolean;
}

/** A section with a line chart. */
export interface LineChart {
  /** Tells this section from the others. */
  kind: 'lines';
  /** Heading. */
  title: string;
  /** Plain text below the chart. */
  caption?: string;
  /** Possible x axes, such as "environment steps", "labels" and "minutes"; the reader chooses one. */
  xLabels: readonly string[];
  /** What y is, with its unit. */
  yLabel: string;
  /** The lines, in the order of the legend. */
  series: readonly Series[];
  /** Horizontal lines, such as the return from which a task counts as solved. */
  levels?: readonly { y: number; label: string }[];
  /** Takes the whole width of the page. */
  wide?: boolean;
}

/** Points beyond this are thinned, except extremes: a wide screen has no more pixels. */
const MOST_POINTS = 800;

/**
 * The chart's series with at most MOST_POINTS points each and six digits per number, as they are drawn and shown.
 * @throws HeedError if the lengths differ.
 */
export function thinned({ title, xLabels, series }: LineChart): Series[] {
  return series.map(({ name, x, y, band, ...look }) => {
    const lengths = [...x, ...(band ? [band.low, band.high] : [])].map((values) => values.length);
    if (x.length !== xLabels.length || lengths.some((length) => length !== y.length)) {
      throw new HeedError(
        `Chart "${title}", series "${name}": expected ${xLabels.length} arrays x, and all as long as y (${y.length}); got ${x.length} arrays x, and lengths ${lengths.join(', ')}.`,
      );
    }
    const shown = thinnedIndices(y);
    const pick = (values: ArrayLike<number>) => shown.map((i) => Number(values[i].toPrecision(6)));
    return { name, x: x.map(pick), y: pick(y), band: band && { low: pick(band.low), high: pick(band.high) }, ...look };
  });
}

/** The first, lowest, highest and last point of each stretch, so that every spike stays. */
function thinnedIndices(y: ArrayLike<number>): number[] {
  if (y.length <= MOST_POINTS) return Array.from({ length: y.length }, (_, i) => i);
  const indices = new Set<number>();
  const stretches = MOST_POINTS / 4;
  for (let s = 0; s < stretches; s++) {
    const begin = Math.floor((s * y.length) / stretches);
    const end = Math.floor(((s + 1) * y.length) / stretches);
    let low = begin;
    let high = begin;
    for (let i = begin; i < end; i++) {
      if (y[i] < y[low] || Number.isNaN(y[low])) low = i;
      if (y[i] > y[high] || Number.isNaN(y[high])) high = i;
    }
    for (const i of [begin, low, high, end - 1]) indices.add(i);
  }
  return [...indices].sort((a, b) => a - b);
}

/** Number of colors in the style sheet; further series repeat them. */
const COLORS = 6;

/** CSS classes of a series' line. */
export const lineClass = ({ color, dashed }: Series, index: number): string =>
  `line ${colorClass(color ?? index)}${dashed ? ' dashed' : ''}`;

const colorClass = (color: number): string => `s${color % COLORS}`;

/** One drawing of a chart, for one x and one size. */
export function drawLines(chart: LineChart, series: Series[], choice: number, width: number, height: number): string {
  const x = domainOf(
    series.flatMap((s) => Array.from(s.x[choice])),
    { pad: 0 },
  );
  const values = [
    ...series.flatMap((s) => [...Array.from(s.y), ...Array.from(s.band?.low ?? []), ...Array.from(s.band?.high ?? [])]),
    ...(chart.levels ?? []).map((level) => level.y),
  ];
  const y = valueDomain(values, chart.yLabel);
  if (!x || !y) return '';
  const on = plane(width, height, x, y, { x: chart.xLabels[choice], y: chart.yLabel });
  const [left, right] = [x.low, x.high].map(on.x);
  const levels = (chart.levels ?? []).map(
    ({ y: at, label }) =>
      `<path class="level" d="M${px(left)} ${px(on.y(at))}H${px(right)}"/><text class="level-name" x="${px(left + 6)}" y="${px(on.y(at) - 6)}">${escaped(label)}</text>`,
  );
  const bands = series.map(({ band, x: xs, color }, i) => (band ? drawBand(on, xs[choice], band, color ?? i) : ''));
  const lines = series.map((one, i) => drawLine(on, one.x[choice], one, i));
  const label = `${chart.title}: ${chart.yLabel} by ${chart.xLabels[choice]}. ${series.map(inWords).join(' ')}`;
  return `<svg class="plot w${width} x${choice}" viewBox="0 0 ${width} ${height}" role="img" tabindex="0" ${on.attributes} data-choice="${choice}" aria-label="${escaped(label)}">${on.grid}${bands.join('')}${lines.join('')}${levels.join('')}</svg>`;
}

function drawLine(on: Plane, x: ArrayLike<number>, series: Series, index: number): string {
  const { y, color = index } = series;
  let d = '';
  let pen = false;
  let last = '';
  for (let i = 0; i < y.length; i++) {
    const shown = Number.isFinite(x[i]) && Number.isFinite(y[i]);
    if (shown) {
      const at = `${px(on.x(x[i]))} ${px(on.y(y[i]))}`;
      d += `${pen ? 'L' : 'M'}${at}`;
      if (!pen && !(Number.isFinite(y[i + 1]) && i + 1 < y.length)) d += 'h0'; // a single point is a dot
      last = at;
    }
    pen = shown;
  }
  const [cx, cy] = last.split(' ');
  const end = last && `<circle class="dot ${colorClass(color)}" cx="${cx}" cy="${cy}" r="3.5"/>`;
  return `<path class="${lineClass(series, index)}" d="${d}"/>${end}`;
}

function drawBand(on: Plane, x: ArrayLike<number>, { low, high }: NonNullable<Series['band']>, color: number): string {
  const upper: string[] = [];
  const lower: string[] = [];
  for (let i = 0; i < x.length; i++) {
    if (![x[i], low[i], high[i]].every(Number.isFinite)) continue;
    upper.push(`${px(on.x(x[i]))} ${px(on.y(high[i]))}`);
    lower.push(`${px(on.x(x[i]))} ${px(on.y(low[i]))}`);
  }
  if (upper.length < 2) return '';
  return `<path class="band ${colorClass(color)}" d="M${[...upper, ...lower.reverse()].join('L')}Z"/>`;
}

function inWords({ name, y }: Series): string {
  const seen = Array.from(y).filter(Number.isFinite);
  if (seen.length === 0) return `${name}: no values.`;
  const [least, most] = [Math.min(...seen), Math.max(...seen)].map(readable);
  return `${name}: first ${readable(seen[0])}, last ${readable(seen[seen.length - 1])}, from ${least} to ${most}.`;
}
