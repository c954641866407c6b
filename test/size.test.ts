/** What scripts say of the whole tree. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, inject, it } from 'vitest';
// @ts-expect-error the scripts are JavaScript
import { faults, staleness } from '../scripts/faults.js';

// what grows has to shrink elsewhere, or to say why it grew
it('heed is within the budgets of its size', () => {
  const script = fileURLToPath(new URL('../scripts/size.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--package', inject('compiled')], {
    encoding: 'utf8',
  });
  expect(status, stdout + stderr).toBe(0);
});

it('each fault of scripts/faults.js can be planted in the source of today', () => {
  const source = fileURLToPath(new URL('..', import.meta.url));
  expect(faults.flatMap((fault: unknown) => staleness(fault, source))).toEqual([]);
});
