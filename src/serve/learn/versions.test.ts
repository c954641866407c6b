import { expect, it } from 'vitest';
import type { VersionState } from './tables.ts';
import { type VersionGate, type VersionRow, windowsOf } from './versions.ts';

let number = 0;
const version = (to: number, verdict: VersionGate['verdict'], state: VersionState = 'gated out') =>
  ({ number: number++, state, gate: { verdict, checks: [] }, data: { to } }) as unknown as VersionRow;

it('closes the windows of versions that are better or worse, and trusts those that serve', () => {
  expect(windowsOf([])).toEqual({ proven: [], since: 0 });
  const versions = [
    version(10, 'undecided'),
    version(20, 'better', 'retired'),
    version(30, 'worse'),
    version(40, 'failed'),
    version(50, 'not measured'),
    version(60, 'better', 'serving'),
    version(70, 'better', 'rolled back'),
    version(80, 'stopped'),
  ];
  const proven = [
    { from: 0, to: 20 },
    { from: 30, to: 60 },
  ];
  expect(windowsOf(versions)).toEqual({ proven, since: 70 });
});
