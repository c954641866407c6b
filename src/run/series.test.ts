import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { random } from '../random.ts';
import { type Buckets, createRunSeries, type RunSeries, type SeriesOptions } from './series.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-series-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
/** A folder with the metrics of a run, and their file. */
const runOf = (rows: readonly object[]) => {
  const run = join(folder, `${files++}`);
  mkdirSync(run);
  const path = join(run, 'metrics.jsonl');
  writeFileSync(path, text(rows));
  return { run, path };
};
const seriesOf = (rows: readonly object[]) => createRunSeries(runOf(rows).run);
const text = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const rowsOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({ step: from + i, time: 1000 + from + i, loss: Math.sin((from + i) / 50) }));

it('keeps the extremes of every bucket, the last point, and counts', () => {
  const rows = rowsOf(10_000);
  rows[5003].loss = 100;
  rows[7777].loss = -100;
  const series = seriesOf(rows);
  expect(series.refresh()).toBe(true);
  const { step, time, min, max, points } = series.buckets('loss', { buckets: 100 })!;
  expect(points).toBe(10_000);
  expect(step).toHaveLength(100);
  expect([step.at(-1), time.at(-1)]).toEqual([9999, 9999]);
  expect(Math.max(...max)).toBe(100);
  expect(Math.min(...min)).toBe(-100);
  expect(series.buckets('loss', { from: 100, to: 199, buckets: 1000 })).toMatchObject({
    points: 100,
    step: rows.slice(100, 200).map((row) => row.step),
  });
  expect(series.buckets('nothing')).toBeUndefined();
});

it('has the same metrics from the rows and from their cache', () => {
  const { run } = runOf(Array.from({ length: 10 }, (_, step) => ({ step, time: step, 'reward/foreseen': 0.5 })));
  for (const _ of ['from the rows', 'from the cache']) {
    const series = createRunSeries(run, { chunk: 4 });
    series.refresh();
    expect(series.names()).toEqual(['reward/foreseen']);
    expect(series.latest()).toMatchObject({ 'reward/foreseen': 0.5 });
  }
});

it('smooths before it thins, without a bias at the start, and leaves alone what does not change', () => {
  const rows = Array.from({ length: 500 }, (_, i) => ({ step: i, time: i, noisy: i % 2 === 0 ? 1 : 3, still: 0.1 }));
  const series = seriesOf(rows);
  series.refresh();
  const { smooth } = series.buckets('noisy', { smooth: 0.99, buckets: 50 })!;
  expect(smooth!.at(0)).toBeGreaterThan(1.5);
  expect(smooth!.at(-1)).toBeCloseTo(2, 1);
  const still = series.buckets('still', { smooth: 0.9 })!;
  expect(new Set(still.smooth)).toEqual(new Set([0.1]));
});

it('reads on as the file grows, not what is half written, and begins anew where it was cut', () => {
  const { run, path } = runOf([]);
  const series = createRunSeries(run);
  expect(series.refresh()).toBe(false);
  appendFileSync(path, text(rowsOf(5)));
  expect(series.refresh()).toBe(true);
  appendFileSync(path, '{"step":5,"time":6,"lo');
  expect(series.refresh()).toBe(false);
  appendFileSync(path, 'ss":1,"late":2}\n');
  expect(series.refresh()).toBe(true);
  expect(series).toMatchObject({ rows: 6 });
  expect(series.latest()).toEqual({ step: 5, loss: 1, late: 2 });
  // a run that was resumed writes some rows again: as long as before, or longer
  truncateSync(path, text(rowsOf(3)).length);
  appendFileSync(path, text(rowsOf(20, 100)));
  expect(series.refresh()).toBe(true);
  expect(series.rows).toBe(23);
  expect(series.names()).toEqual(['loss']);
});

it('NaN and infinity are read as they were written; what is no row is passed over', () => {
  const { run, path } = runOf([]);
  writeFileSync(
    path,
    '{"step":0,"time":0,"x":"NaN"}\nnonsense\n{"step":1,"time":1,"x":"Infinity"}\n{"step":2,"time":2,"x":3}\n',
  );
  const series = createRunSeries(run);
  series.refresh();
  expect(series.buckets('x')).toMatchObject({ step: [1, 2], max: [Number.POSITIVE_INFINITY, 3] });
  expect(createRunSeries(join(folder, 'gone')).refresh()).toBe(false);
});

it('takes a stretch along time or along a count, which stays where no row tells it', () => {
  const rows = [
    { step: 0, time: 1000, loss: 9 },
    { step: 5, time: 1010, loss: 8, labels: 20 },
    { step: 10, time: 1015, loss: 7 },
    { step: 15, time: 1040, loss: 6, labels: 40 },
  ];
  const series = seriesOf(rows);
  series.refresh();
  expect(series.buckets('loss', { by: 'labels' })).toMatchObject({ at: [0, 20, 20, 40], step: [0, 5, 10, 15] });
  expect(series.buckets('loss', { by: 'labels', from: 20, to: 30 })).toMatchObject({ mean: [8, 7] });
  expect(series.buckets('loss', { by: 'time', from: 10, to: 15 })).toMatchObject({ time: [10, 15], mean: [8, 7] });
});

it('reads a large file part by part where it is told to, and comes to the same', () => {
  const { run } = runOf(rowsOf(120_000));
  const [slowly, atOnce] = [createRunSeries(run), createRunSeries(run)];
  atOnce.refresh();
  expect(slowly.refresh(1)).toBe(true);
  expect(slowly.complete).toBe(false);
  expect(slowly.rows).toBeLessThan(120_000);
  while (!slowly.complete) slowly.refresh(1);
  expect(slowly.buckets('loss', { smooth: 0.9 })).toEqual(atOnce.buckets('loss', { smooth: 0.9 }));
});

describe('the columns beside a long run', () => {
  type Row = Record<string, number | string>;
  /** Gaps, values that are none, metrics that come late, steps that stay, a count. */
  const rowsWith = (count: number, seed: number): Row[] => {
    const rng = random(seed);
    let [step, time, labels] = [0, 1e6, 0];
    return Array.from({ length: count }, (_, i) => {
      step += rng.integer(3);
      time += rng.integer(2) / 4;
      const row: Row = { step, time, loss: rng.normal() };
      if (i % 7 === 3) row.eval = rng.uniform();
      if (i > count / 2) row.late = i % 5 === 0 ? 'NaN' : rng.normal() * 1e6;
      if (i === 77) row.loss = 'Infinity';
      if (rng.uniform() < 0.1) {
        labels += rng.integer(4);
        row.labels = labels;
      }
      return row;
    });
  };

  /** The same by walking over all rows. */
  function walked(rows: readonly Row[], name: string, options: SeriesOptions): Buckets {
    const { by = 'step', from = -Infinity, to = Infinity, buckets = 800, smooth = 0 } = options;
    let [counted, mean, weight] = [0, 0, 0];
    const inside = rows.flatMap((row) => {
      counted = Number(row.labels ?? counted);
      const value = Number(row[name] ?? Number.NaN);
      if (Number.isNaN(value)) return [];
      if (Number.isFinite(value)) {
        mean = smooth * mean + (1 - smooth) * value;
        weight = smooth * weight + (1 - smooth);
      }
      const [step, time] = [Number(row.step), Number(row.time) - Number(rows[0].time)];
      const at = by === 'step' ? step : by === 'time' ? time : counted;
      return at >= from && at <= to ? [{ step, time, at, value, smooth: mean / weight }] : [];
    });
    const count = Math.min(buckets, inside.length);
    const parts = Array.from({ length: count }, (_, i) =>
      inside.slice(Math.floor((i * inside.length) / count), Math.floor(((i + 1) * inside.length) / count)),
    );
    const last = parts.map((part) => part.at(-1)!);
    return {
      step: last.map(({ step }) => step),
      time: last.map(({ time }) => time),
      ...(by === 'labels' && { at: last.map(({ at }) => at) }),
      min: parts.map((part) => Math.min(...part.map(({ value }) => value))),
      max: parts.map((part) => Math.max(...part.map(({ value }) => value))),
      mean: parts.map((part) => part.reduce((sum, { value }) => sum + value, 0) / part.length),
      ...(options.smooth !== undefined && { smooth: last.map((one) => one.smooth) }),
      points: inside.length,
    };
  }

  const queries: SeriesOptions[] = [
    {},
    { buckets: 7 },
    { buckets: 50, smooth: 0.6 },
    { buckets: 40, smooth: 0.99, from: 1500, to: 2400 },
    { by: 'time', from: 100, to: 201.5, buckets: 33 },
    { by: 'labels', buckets: 60 },
    { by: 'labels', from: 50, to: 120, smooth: 0.9 },
    { by: 'labels', from: 0, to: 3 },
    { from: 2000, to: 2000 },
    { from: 1e9 },
    { to: -1 },
    { by: 'labels', from: 9, to: 2 },
  ];
  function expectSame(series: RunSeries, rows: readonly Row[]): void {
    for (const name of ['loss', 'eval', 'late', 'labels']) {
      for (const options of queries) {
        const { mean, smooth, ...exact } = series.buckets(name, options)!;
        const { mean: meanWalked, smooth: smoothWalked, ...walk } = walked(rows, name, options);
        expect(exact, `${name} ${JSON.stringify(options)}`).toEqual(walk);
        const near = (values: number[] = []) => values.map((value) => expect.closeTo(value, 4));
        expect(mean).toEqual(near(meanWalked));
        expect(smooth ?? []).toEqual(near(smoothWalked));
      }
    }
  }

  it.each([1, 2])('tell what a walk over all rows tells, read at once, part by part and again: seed %d', (seed) => {
    const rows = rowsWith(5000, seed);
    const { run, path } = runOf(rows.slice(0, 3000));
    const series = createRunSeries(run, { chunk: 1000 });
    series.refresh();
    expectSame(series, rows.slice(0, 3000));
    appendFileSync(path, text(rows.slice(3000)));
    series.refresh();
    expectSame(series, rows);
    expect(existsSync(join(run, 'metrics.columns'))).toBe(true);
    const again = createRunSeries(run, { chunk: 1000 });
    while (again.refresh(1) || !again.complete);
    expectSame(again, rows);
    expect([again.rows, again.names().toSorted(), again.latest()]).toEqual([
      5000,
      series.names().toSorted(),
      series.latest(),
    ]);
  });

  it('are those of the rows after a run was cut back to its checkpoint and went on otherwise', () => {
    const [before, after] = [rowsWith(4000, 3), rowsWith(4000, 4)];
    const { run, path } = runOf(before);
    const watching = createRunSeries(run, { chunk: 800 });
    watching.refresh();
    truncateSync(path, Buffer.byteLength(text(before.slice(0, 2100))));
    const rows = [
      ...before.slice(0, 2100),
      ...after.slice(2100).map((row) => ({
        ...row,
        step: Number(row.step) + 9000,
        time: Number(row.time) + 9000,
        ...(row.labels !== undefined && { labels: Number(row.labels) + 9000 }),
      })),
    ];
    appendFileSync(path, text(rows.slice(2100)));
    for (const series of [watching, createRunSeries(run, { chunk: 800 })]) {
      series.refresh();
      expectSame(series, rows);
    }
  });

  it('are made anew where they are gone, damaged, half written or of another file; the run is left as it is', () => {
    const rows = rowsWith(3000, 5);
    const { run, path } = runOf(rows);
    const columns = join(run, 'metrics.columns');
    createRunSeries(run, { chunk: 900 }).refresh();
    const whole = readFileSync(columns);
    const damages: ((bytes: Buffer) => Buffer)[] = [
      (bytes) => bytes.subarray(0, bytes.length - 5),
      (bytes) => Buffer.from(bytes).fill(7, 5000, 5001),
      (bytes) => Buffer.concat([Buffer.from('heedcol0'), bytes.subarray(8)]),
      () => Buffer.from('what somebody else wrote'),
      () => {
        const other = runOf(rowsWith(3000, 6)).run;
        createRunSeries(other, { chunk: 900 }).refresh();
        return readFileSync(join(other, 'metrics.columns'));
      },
    ];
    for (const damage of damages) {
      writeFileSync(columns, damage(whole));
      const series = createRunSeries(run, { chunk: 900 });
      series.refresh();
      expectSame(series, rows);
      expect(readFileSync(columns).subarray(0, whole.length).equals(whole)).toBe(true);
    }
    rmSync(columns);
    createRunSeries(run, { chunk: 900 }).refresh();
    expect(readFileSync(columns).equals(whole)).toBe(true);
    expect(readFileSync(path, 'utf8')).toBe(text(rows));
  });

  it('are not needed: where they cannot be written, all stays in memory', () => {
    const rows = rowsWith(2000, 7);
    const { run } = runOf(rows);
    mkdirSync(join(run, 'metrics.columns'));
    const series = createRunSeries(run, { chunk: 500 });
    series.refresh();
    expectSame(series, rows);
  });

  it('that are taken away while they are read are made anew when one asks again', () => {
    const rows = rowsWith(2000, 8);
    const { run } = runOf(rows);
    const series = createRunSeries(run, { chunk: 500 });
    series.refresh();
    truncateSync(join(run, 'metrics.columns'), 100);
    expect(() => series.buckets('loss', { smooth: 0.9 })).toThrow('has changed');
    series.refresh();
    expectSame(series, rows);
  });
});
