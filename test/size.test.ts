/** No budget of scripts/size-budgets.json is exceeded: what grows has to shrink elsewhere, or to say why it grew. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, inject, it } from 'vitest';

it('heed is within the budgets of its size', () => {
  const script = fileURLToPath(new URL('../scripts/size.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--package', inject('compiled')], {
    encoding: 'utf8',
  });
  expect(status, stdout + stderr).toBe(0);
});
