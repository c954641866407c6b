/** Counts and measurements in the text format of Prometheus, version 0.0.4. */

/** Labels of a value, such as `{ method: 'GET' }`. */
export type Labels = Readonly<Record<string, string>>;

/** A value and its labels. */
export type MetricSample = readonly [labels: Labels, value: number];

/** The measurements of one process, or of one server in it. */
export interface Metrics {
  /** Creates a counter. `add` adds to the value with these labels, 1 if not told otherwise. */
  counter(name: string, help: string): { add(labels: Labels, by?: number): void };
  /** Creates a histogram with these upper bounds, in ascending order. */
  histogram(name: string, help: string, bounds: readonly number[]): { observe(value: number, labels?: Labels): void };
  /** Reads values whenever the metrics are read: of a gauge, or of a counter that somebody else keeps. */
  read(
    name: string,
    help: string,
    read: () => readonly MetricSample[] | Promise<readonly MetricSample[]>,
    type?: Type,
  ): void;
  /** All of it as text. What cannot be read is left out, so that the rest is still seen. */
  text(): Promise<string>;
}

type Type = 'counter' | 'gauge';

/** The content type of the text format. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Creates an empty set of metrics. Each name gets the prefix `heed_`. */
export function createMetrics(): Metrics {
  const parts: (() => Promise<string[]>)[] = [];
  const head = (name: string, help: string, type: string) => [
    `# HELP heed_${name} ${escaped(help, /[\\\n]/g)}`,
    `# TYPE heed_${name} ${type}`,
  ];
  const line = (name: string, labels: string, value: number) =>
    `heed_${name}${labels && `{${labels}}`} ${numberText(value)}`;
  return {
    counter(name, help) {
      const values = new Map<string, number>();
      parts.push(async () => [...head(name, help, 'counter'), ...[...values].map(([at, n]) => line(name, at, n))]);
      return {
        add(labels, by = 1) {
          const at = labelText(labels);
          values.set(at, (values.get(at) ?? 0) + by);
        },
      };
    },
    histogram(name, help, bounds) {
      const series = new Map<string, { buckets: number[]; sum: number; count: number }>();
      parts.push(async () => [
        ...head(name, help, 'histogram'),
        ...[...series].flatMap(([labels, { buckets, sum, count }]) => {
          const bucket = (bound: string, n: number) =>
            line(`${name}_bucket`, [labels, `le="${bound}"`].filter(Boolean).join(), n);
          return [
            ...bounds.map((bound, i) => bucket(String(bound), buckets[i])),
            bucket('+Inf', count),
            line(`${name}_sum`, labels, sum),
            line(`${name}_count`, labels, count),
          ];
        }),
      ]);
      return {
        observe(value, labels = {}) {
          const at = labelText(labels);
          const one = series.get(at) ?? { buckets: bounds.map(() => 0), sum: 0, count: 0 };
          series.set(at, one);
          one.sum += value;
          one.count++;
          bounds.forEach((bound, i) => {
            if (value <= bound) one.buckets[i]++;
          });
        },
      };
    },
    read(name, help, read, type = 'gauge') {
      parts.push(async () => [
        ...head(name, help, type),
        ...(await read()).map(([labels, value]) => line(name, labelText(labels), value)),
      ]);
    },
    async text() {
      const read = await Promise.all(parts.map((part) => part().catch((): string[] => [])));
      return `${read.flat().join('\n')}\n`;
    },
  };
}

const numberText = (value: number): string => (value === Infinity ? '+Inf' : String(value).replace('Infinity', 'Inf'));

const labelText = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value, /[\\"\n]/g)}"`)
    .join();

const escaped = (text: string, marks: RegExp): string =>
  text.replace(marks, (mark) => (mark === '\n' ? '\\n' : `\\${mark}`));
