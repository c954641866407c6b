import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createRunSeries } from './series.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-series-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const fileOf = (rows: readonly object[]) => {
  const path = join(folder, `${files++}.jsonl`);
  writeFileSync(path, text(rows));
  return path;
};
const text = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const rowsOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({ step: from + i, time: 1000 + from + i, loss: Math.sin((from + i) / 50) }));

it('keeps the extremes of every bucket, the last point, and counts', () => {
  const rows = rowsOf(10_000);
  rows[5003].loss = 100;
  rows[7777].loss = -100;
  const series = createRunSeries(fileOf(rows));
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

it('smooths before it thins, without a bias at the start, and leaves alone what does not change', () => {
  const rows = Array.from({ length: 500 }, (_, i) => ({ step: i, time: i, noisy: i % 2 === 0 ? 1 : 3, still: 0.1 }));
  const series = createRunSeries(fileOf(rows));
  series.refresh();
  const { smooth } = series.buckets('noisy', { smooth: 0.99, buckets: 50 })!;
  expect(smooth!.at(0)).toBeGreaterThan(1.5);
  expect(smooth!.at(-1)).toBeCloseTo(2, 1);
  const still = series.buckets('still', { smooth: 0.9 })!;
  expect(new Set(still.smooth)).toEqual(new Set([Math.fround(0.1)]));
});

it('reads on as the file grows, not what is half written, and begins anew where it was cut', () => {
  const path = fileOf([]);
  const series = createRunSeries(path);
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
  const path = fileOf([]);
  writeFileSync(
    path,
    '{"step":0,"time":0,"x":"NaN"}\nnonsense\n{"step":1,"time":1,"x":"Infinity"}\n{"step":2,"time":2,"x":3}\n',
  );
  const series = createRunSeries(path);
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
  const series = createRunSeries(fileOf(rows));
  series.refresh();
  expect(series.buckets('loss', { by: 'labels' })).toMatchObject({ at: [0, 20, 20, 40], step: [0, 5, 10, 15] });
  expect(series.buckets('loss', { by: 'labels', from: 20, to: 30 })).toMatchObject({ mean: [8, 7] });
  expect(series.buckets('loss', { by: 'time', from: 10, to: 15 })).toMatchObject({ time: [10, 15], mean: [8, 7] });
});

it('reads a large file part by part where it is told to, and comes to the same', () => {
  const path = fileOf(rowsOf(120_000));
  const [slowly, atOnce] = [createRunSeries(path), createRunSeries(path)];
  atOnce.refresh();
  expect(slowly.refresh(1)).toBe(true);
  expect(slowly.complete).toBe(false);
  expect(slowly.rows).toBeLessThan(120_000);
  while (!slowly.complete) slowly.refresh(1);
  expect(slowly.buckets('loss', { smooth: 0.9 })).toEqual(atOnce.buckets('loss', { smooth: 0.9 }));
});
