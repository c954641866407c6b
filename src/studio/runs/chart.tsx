/** Curves of one metric, drawn by µPlot: faint points of each run between their extremes, and a smoothed line. */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Buckets } from './data.ts';

/** A run's curve. */
export interface ChartCurve {
  name: string;
  /** Which of the colors. */
  color: number;
  data: Buckets;
}

const dark = matchMedia('(prefers-color-scheme: dark)');

/** A color as the page has it now, as rgb(…), for the canvas, which knows no variables. */
function canvasColor(color: string): string {
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.color = color;
  const { color: computed } = getComputedStyle(probe);
  probe.remove();
  return computed;
}

/** A color of `canvasColor`, of which only a share covers what is below. */
const seeThrough = (color: string, share: number) => color.replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`);

/** Names of the colors of lines: they differ for people with color vision deficiencies too. */
const LINES = 'abcdefgh';
/** The color of the run at an index. */
export const colorOf = (i: number): string => `var(--${LINES[i % LINES.length]})`;

const HEIGHT = 200;

interface ChartProps {
  title: string;
  curves: readonly ChartCurve[];
  by: string;
  log: boolean;
  onZoom(from: number, to: number): void;
  onReset(): void;
}

/** Draws the curves, with a reading of the point under the cursor. */
export function Chart(props: ChartProps) {
  const { title, curves, by, log } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const [at, setAt] = useState<number | null>(null);
  const [theme, setTheme] = useState(dark.matches);
  useEffect(() => {
    const changed = () => setTheme(dark.matches);
    dark.addEventListener('change', changed);
    return () => dark.removeEventListener('change', changed);
  }, []);
  const shape = curves.map(({ color, data }) => `${color}${data.smooth ? 's' : ''}`).join();
  useEffect(() => {
    // the observer may be called once more when the element has left the page
    const element = place.current!;
    const made = new uPlot(
      options(latest.current, element.clientWidth, setAt, () => latest.current),
      tableOf(latest.current),
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape, by, log, theme]);
  useEffect(() => plot.current?.setData(tableOf(latest.current)), [curves]);
  const readings = curves.map((curve) => ({ ...curve, ...valueAt(curve.data, at, by) }));
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={place} role="img" aria-label={`${title}: ${readings.map(sentenceOf).join('; ')}`} />
      <p class="reading">
        {readings.map(({ color, name, x, value, smoothed, min, max }) => (
          <span key={name}>
            <i style={{ background: colorOf(color) }} />
            {value === undefined ? '–' : shortNumber(value)}
            <small>
              {' '}
              {min !== undefined && max !== undefined && min < max && `(${shortNumber(min)} to ${shortNumber(max)}) `}
              {x !== undefined && `at ${axisValue(by, x)}`}
              {smoothed !== undefined && `, smoothed ${shortNumber(smoothed)}`}
            </small>
          </span>
        ))}
      </p>
    </figure>
  );
}

const sentenceOf = ({ name, x, value }: { name: string; x?: number; value?: number }) =>
  value === undefined ? `${name} has no points here` : `${name} is ${shortNumber(value)} at ${x}`;

function placesOf({ time, step, at = step }: Buckets, by: string): number[] {
  if (by === 'time') return time;
  return by === 'step' ? step : at;
}

/** The point at a place, or the last one. */
function valueAt(data: Buckets, at: number | null, by: string) {
  const places = placesOf(data, by);
  let i = places.length - 1;
  if (at !== null) while (i > 0 && places[i - 1] >= at) i--;
  if (i < 0) return {};
  const { min, max, mean, smooth } = data;
  return { x: places[i], value: mean[i] ?? undefined, smoothed: smooth?.[i] ?? undefined, min: min[i], max: max[i] };
}

/** Places, and for each curve its least, greatest, mean and smoothed values at them. */
function tableOf({ curves, by, log }: ChartProps): uPlot.AlignedData {
  // a log scale has no place for values that are not positive
  const drawn = (values: number[]) => values.map((value) => (value === null || (log && value <= 0) ? null : value));
  const tables = curves.map(
    ({ data }) =>
      [
        placesOf(data, by),
        drawn(data.min),
        drawn(data.max),
        drawn(data.mean),
        drawn(data.smooth ?? data.mean),
      ] as uPlot.AlignedData,
  );
  if (tables.length === 0) return [[]];
  return tables.length === 1 ? distinct(tables[0]) : uPlot.join(tables.map(distinct));
}

/** Keeps the last row of each place: a count may stay the same over several rows. */
function distinct(table: uPlot.AlignedData): uPlot.AlignedData {
  const places = table[0];
  const shown = Array.from(places.keys()).filter((i) => i === places.length - 1 || places[i] < places[i + 1]);
  if (shown.length === places.length) return table;
  return table.map((values) => shown.map((i) => values[i])) as unknown as uPlot.AlignedData;
}

function options(
  { curves, by, log }: ChartProps,
  width: number,
  setAt: (at: number | null) => void,
  latestProps: () => ChartProps,
): uPlot.Options {
  const styles = getComputedStyle(document.documentElement);
  const [quiet, line] = ['var(--muted)', 'var(--line)'].map(canvasColor);
  const font = `12px ${styles.getPropertyValue('--text') || 'sans-serif'}`;
  const axis: uPlot.Axis = {
    stroke: quiet,
    font,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1, size: 4 },
  };
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const { color, data } of curves) {
    const stroke = canvasColor(colorOf(color));
    const faint = seeThrough(stroke, 0.47);
    const common = { spanGaps: true, points: { show: false } };
    bands.push({ series: [series.length + 1, series.length], fill: seeThrough(stroke, 0.13) });
    series.push({ ...common, stroke: 'transparent', width: 0 }, { ...common, stroke: 'transparent', width: 0 });
    const few = { show: data.step.length <= 2, size: 5 };
    series.push({ ...common, stroke: data.smooth ? faint : stroke, width: 1 });
    series.push({ ...common, stroke, width: 2, show: data.smooth !== undefined || few.show, points: few });
  }
  return {
    width: Math.max(100, width),
    height: HEIGHT,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
    axes: [
      { ...axis, size: 28, values: (_, places) => places.map((place) => axisValue(by, place)) },
      { ...axis, size: 56, values: (_, values) => values.map((value) => (value === null ? '' : shortNumber(value))) },
    ],
    series,
    bands,
    cursor: { sync: { key: 'runs' }, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    hooks: {
      setCursor: [({ cursor, data }) => setAt(cursor.idx == null ? null : (data[0][cursor.idx] ?? null))],
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select;
          if (wide < 4) return;
          latestProps().onZoom(plot.posToVal(left, 'x'), plot.posToVal(left + wide, 'x'));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      ready: [(plot) => plot.over.addEventListener('dblclick', () => latestProps().onReset())],
    },
  };
}

/** A number with three significant digits. */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace('.0e', 'e');
  if (size >= 1e4) return `${Number((value / 1000).toPrecision(3))}k`;
  return String(size >= 1000 ? Math.round(value) : Number(value.toPrecision(3)));
}

function axisValue(by: string, value: number): string {
  if (by !== 'time') return Math.abs(value) < 1e4 ? String(Number(value.toPrecision(4))) : shortNumber(value);
  if (value < 120) return `${Number(value.toPrecision(3))} s`;
  return value < 7200 ? `${Number((value / 60).toPrecision(3))} min` : `${Number((value / 3600).toPrecision(3))} h`;
}
