/** What the fuzzer found, read again: in a process that is watched for time and memory. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, inject, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

it('refuses every input that was a finding, by name and place', () => {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['bench/trust/attack.js', '--replay', 'test/fixtures/corpus', '--dist', `${inject('compiled')}/dist`],
    { cwd: root, encoding: 'utf8' },
  );
  const kinds: Record<string, { inputs: number; findings: number }> = JSON.parse(stdout || '{}');
  expect(Object.keys(kinds), stderr).toContain('parquet');
  for (const [kind, { inputs, findings }] of Object.entries(kinds)) {
    expect([kind, inputs > 0, findings], stderr).toEqual([kind, true, 0]);
  }
});
