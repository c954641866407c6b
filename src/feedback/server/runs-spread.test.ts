import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createSampleIndex } from '../../run/samples.ts';
import { spreadOf } from './runs-spread.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-spread-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
function spread(rows: readonly object[]) {
  const path = join(folder, 'samples.jsonl');
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const samples = createSampleIndex(path);
  samples.refresh();
  return spreadOf(samples);
}

it('counts in the same bins at every step; what is not finite is left out', () => {
  const { steps, of } = spread([
    { kind: 'completion', step: 0, index: 0, text: 'kept to be read', reward: 99 },
    { kind: 'spread', step: 0, of: { reward: [0, 0, 24, { $number: 'NaN' }], kl: [0, 0, 0] } },
    { kind: 'spread', step: 5, of: { reward: [12, 12, 12, 12.5], length: [7] } },
  ]);
  expect(steps).toEqual([0, 5]);
  expect(of.reward).toMatchObject({ least: 0, greatest: 24, means: [8, 12.125] });
  expect(of.reward.shares.map((shares) => shares.flatMap((share, bin) => (share > 0 ? [[bin, share]] : [])))).toEqual([
    [
      [0, 2 / 3],
      [23, 1 / 3],
    ],
    [[12, 1]],
  ]);
  expect(of.kl.means).toEqual([0, null]);
  expect(of.length).toMatchObject({ least: 7, greatest: 7, means: [null, 7] });
});

it('takes the answers that were kept where a run tells of no others, and so many steps as can be seen', () => {
  const rows = Array.from({ length: 500 }, (_, step) => ({
    kind: 'completion',
    step,
    index: 3,
    text: 'two',
    reward: step,
  }));
  const { steps, of } = spread(rows);
  expect([steps.length, steps[0], steps.at(-1)]).toEqual([80, 0, 499]);
  expect(Object.keys(of)).toEqual(['reward', 'characters']);
  expect(of.characters.means[9]).toBe(3);
  expect(spread([])).toEqual({ steps: [], of: {} });
});
