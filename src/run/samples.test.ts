import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createSampleIndex } from './samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-samples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const line = (row: object) => `${JSON.stringify(row)}\n`;

it('finds samples by kind and step, however long rows are, as the file grows and where it was cut', () => {
  const path = join(folder, 'samples.jsonl');
  const index = createSampleIndex(path);
  index.refresh();
  expect(index.counts()).toEqual({});
  const long = { kind: 'comparison', step: 7, frames: 'é'.repeat(5_000_000) };
  const first = line({ kind: 'completion', step: 0, text: '"kind":"alert" \n 🙂' });
  writeFileSync(path, first + line(long) + line({ kind: 'completion', step: 7, text: 'two' }));
  appendFileSync(path, '{"kind":"completion","step":8');
  index.refresh();
  expect(index.counts()).toEqual({ completion: 2, comparison: 1 });
  expect(index.read({ kind: 'comparison' })).toEqual({ total: 1, samples: [long] });
  appendFileSync(path, `,"reward":{"$number":"NaN"}}\n`);
  index.refresh();
  expect(index.steps('completion')).toEqual([0, 7, 8]);
  expect(index.read({ kind: 'completion', step: 8 }).samples).toEqual([
    { kind: 'completion', step: 8, reward: Number.NaN },
  ]);
  expect(index.read({ kind: 'completion', offset: 1, limit: 1 })).toMatchObject({
    total: 3,
    samples: [{ text: 'two' }],
  });
  truncateSync(path, Buffer.byteLength(first));
  index.refresh();
  expect(index.read()).toMatchObject({ total: 1, samples: [{ step: 0 }] });
});
