/** Axes of charts: scales, ticks and grid as SVG. Only numbers and escaped text go in. */

import { escaped } from './html.ts';

interface Domain {
  low: number;
  high: number;
}

export interface Plane {
  width: number;
  height: number;
  x: (value: number) => number;
  y: (value: number) => number;
  /** Grid, ticks and labels; drawn first. */
  grid: string;
  /** Attributes by which the page's script finds the value under the pointer. */
  attributes: string;
}

const LEFT = 46;
const RIGHT = 14;
const TOP = 26;
const BOTTOM = 44;

/**
 * The range of all finite values, slightly widened; from zero if that adds little. Values that differ by less than the
 * share `flat` of their magnitude get the range of one value, which does not draw noise as mountains. Undefined if there
 * are none.
 */
export function domainOf(values: Iterable<number>, { pad = 0.06, fromZero = true, flat = 0 } = {}): Domain | undefined {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return undefined;
  if (high - low <= flat * Math.max(Math.abs(low), Math.abs(high))) {
    const room = Math.abs(low) * 0.1 || 1;
    return { low: low - room, high: high + room };
  }
  const room = (high - low) * pad;
  const zero = fromZero && low >= 0 && low < 0.4 * high;
  return { low: zero ? 0 : low - room, high: high + room };
}

/** Values of one curve that differ by a smaller share than this are one value. */
const FLAT = 1e-3;

/** The range of an axis of values. A share's goes from 0 to 1, beyond which only values do. */
export function valueDomain(values: readonly number[], label: string): Domain | undefined {
  const domain = domainOf(values, { flat: FLAT });
  if (!domain || !/^share\b/.test(label)) return domain;
  const [low, high] = [Math.min(...values.filter(Number.isFinite)), Math.max(...values.filter(Number.isFinite))];
  return { low: low < 0 ? Math.min(domain.low, 0) : 0, high: high > 1 ? Math.max(domain.high, 1) : 1 };
}

/** Round values inside a domain, about `count` of them, spaced by 1, 2 or 5 × 10ⁿ. */
export function ticksOf({ low, high }: Domain, count: number): { values: number[]; step: number } {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).reduce((best, n) => (off(n, rough) < off(best, rough) ? n : best));
  const values: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) values.push(i * step);
  return { values, step };
}

const off = (step: number, target: number) => Math.abs(Math.log(step / target));

/** Units of large numbers, and the number from which each is used. */
const UNITS = [
  { from: 1e9, unit: 1e9, letter: 'G' },
  { from: 1e6, unit: 1e6, letter: 'M' },
  { from: 1e4, unit: 1e3, letter: 'k' },
];

/** All labels of one axis, in one unit and with the decimals that its step needs. */
export function tickLabels({ values, step }: { values: number[]; step: number }): string[] {
  const largest = Math.max(...values.map(Math.abs), 0);
  if (largest >= 1e12 || largest < 1e-4)
    return values.map((v) => (v === 0 ? '0' : v.toExponential(0).replace('-', '−')));
  const { unit, letter } = UNITS.find(({ from }) => largest >= from) ?? { unit: 1, letter: '' };
  const decimals = Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-9));
  return values.map((v) => (Math.abs(v) < step / 2 ? '0' : (v / unit).toFixed(decimals).replace('-', '−') + letter));
}

export function plane(width: number, height: number, x: Domain, y: Domain, labels: { x: string; y: string }): Plane {
  const right = width - RIGHT;
  const bottom = height - BOTTOM;
  const toX = (value: number) => LEFT + ((value - x.low) / (x.high - x.low)) * (right - LEFT);
  const toY = (value: number) => bottom - ((value - y.low) / (y.high - y.low)) * (bottom - TOP);
  const xTicks = ticksOf(x, (right - LEFT) / (width < 400 ? 64 : 84));
  const yTicks = ticksOf(y, (bottom - TOP) / 46);
  const xLabels = tickLabels(xTicks);
  const yLabels = tickLabels(yTicks);
  const grid = [
    ...yTicks.values.map((value, i) => {
      const at = px(toY(value));
      return `<path class="rule" d="M${LEFT} ${at}H${right}"/><text class="tick" x="${LEFT - 9}" y="${at}" dy=".34em" text-anchor="end">${yLabels[i]}</text>`;
    }),
    `<path class="axis" d="M${LEFT} ${bottom}H${right}"/>`,
    ...xTicks.values.map((value, i) => {
      const at = px(toX(value));
      return `<path class="axis" d="M${at} ${bottom}v5"/><text class="tick" x="${at}" y="${bottom + 19}" text-anchor="middle">${xLabels[i]}</text>`;
    }),
    `<text class="name" x="0" y="12">${escaped(labels.y)}</text>`,
    `<text class="name" x="${right}" y="${height - 5}" text-anchor="end">${escaped(labels.x)}</text>`,
  ].join('');
  const attributes = `data-x="${[x.low, x.high, LEFT, right]}" data-y="${[y.low, y.high, bottom, TOP]}"`;
  return { width, height, x: toX, y: toY, grid, attributes };
}

/** A coordinate, rounded to a tenth of a pixel. */
export const px = (value: number): string => String(Math.round(value * 10) / 10);
