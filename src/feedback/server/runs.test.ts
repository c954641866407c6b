import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runProgress } from './runs.ts';

it('takes the time that is left from the speed since a run was resumed, not from its pause', () => {
  const folder = mkdtempSync(join(tmpdir(), 'heed-runs-'));
  const file = join(folder, 'metrics.jsonl');
  const rows = (from: number, time: number) =>
    Array.from({ length: 10 }, (_, i) => `${JSON.stringify({ step: from + i, time: time + i })}\n`).join('');
  const info = { config: { steps: 100 } };
  writeFileSync(file, rows(0, 1000));
  expect(runProgress(info, file, 999_000)).toEqual({ step: 9, steps: 100, secondsLeft: 91 });
  expect(runProgress(info, file, undefined)).toEqual({ step: 9, steps: 100, secondsLeft: null }); // stopped
  expect(runProgress(info, file, 50_000_000)).toEqual({ step: 9, steps: 100, secondsLeft: null }); // just resumed
  writeFileSync(file, rows(0, 1000) + rows(10, 50_001));
  expect(runProgress(info, file, 50_000_000)).toEqual({ step: 19, steps: 100, secondsLeft: 81 });
  expect(runProgress(info, undefined, undefined)).toEqual({ step: null, steps: 100, secondsLeft: null });
  rmSync(folder, { recursive: true });
});
