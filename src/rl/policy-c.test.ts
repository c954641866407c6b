import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import type { Box, Space } from '../env/index.ts';
import { random } from '../random.ts';
import { createControlPolicy } from './control-policy.ts';
import { policyHeader } from './policy-c.ts';
import { type PolicySnapshot, untrained } from './policy-snapshot.ts';

const keep = releasedAfterwards();
const folder = mkdtempSync(join(tmpdir(), 'heed-c-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const box = (size: number, bound: number): Box => ({
  kind: 'box',
  low: new Float32Array(size).fill(-bound),
  high: new Float32Array(size).fill(bound),
});
const discrete: Space = { kind: 'discrete', n: 3 };
const base = { hidden: [8, 8], activation: 'tanh' as const, observationSpace: box(4, Number.POSITIVE_INFINITY) };
// a mean far from 0 beside a small deviation: float32 alone would lose it
const statistics = { mean: [1000.000123, -3, 0, 0.5], variance: [1e-4, 2, 1, 0.25] };
const policies: [string, Omit<PolicySnapshot, 'tensors'>][] = [
  ['a choice', { ...base, algorithm: 'ppo', actionSpace: discrete, statistics }],
  [
    'a choice by ReLU, of one layer',
    { ...base, hidden: [], activation: 'relu', algorithm: 'ppo', actionSpace: discrete },
  ],
  [
    'a choice of what is allowed',
    { ...base, algorithm: 'ppo', actionSpace: discrete, observationSpace: { ...box(4, 1), mask: 3 } },
  ],
  ['a choice with memory', { ...base, algorithm: 'ppo', memory: 5, actionSpace: discrete, statistics }],
  ['numbers within bounds', { ...base, algorithm: 'trpo', actionSpace: box(2, 0.001), statistics }],
  [
    'numbers without bounds',
    { ...base, activation: 'relu', algorithm: 'a2c', actionSpace: box(2, Number.POSITIVE_INFINITY) },
  ],
  ['rescaled numbers', { ...base, algorithm: 'ppo', actionSpace: box(2, 50), rescaleActions: true }],
  ['squashed numbers', { ...base, algorithm: 'sac', actionSpace: box(2, 3) }],
];

const compiler = (() => {
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return 'cc';
  } catch {
    return undefined;
  }
})();

/** Reads observations of an episode and prints the actions. */
const main = ({ actionSpace, memory }: Omit<PolicySnapshot, 'tensors'>) => `#include <stdio.h>
#include "policy.h"
int main(void) {
  float x[POLICY_OBSERVATIONS];
  ${memory ? 'float memory[POLICY_MEMORY] = {0};' : ''}
  for (;;) {
    for (int i = 0; i < POLICY_OBSERVATIONS; i++) if (scanf("%f", &x[i]) != 1) return 0;
    ${
      actionSpace.kind === 'discrete'
        ? `printf("%d\\n", policy_act(x${memory ? ', memory' : ''}));`
        : 'float action[POLICY_ACTIONS]; policy_act(x, action); for (int i = 0; i < POLICY_ACTIONS; i++) printf("%.9g\\n", action[i]);'
    }
  }
}
`;

describe('a policy in C', () => {
  it.skipIf(!compiler)('compiles without a warning and does the same (needs a C compiler, cc)', () => {
    const draw = random(0, 'c');
    for (const [name, description] of policies) {
      const snapshot = untrained({ ...description, tensors: {} }, { seed: 1, gain: Math.SQRT2 });
      const whole = { ...snapshot, statistics: description.statistics };
      // weights of the last layer are small at first: larger ones tell actions apart
      for (const tensor of Object.values(whole.tensors))
        for (let i = 0; i < tensor.data.length; i++) (tensor.data as Float32Array)[i] += 0.8 * draw.normal();
      const policy = keep(createControlPolicy(whole));
      const rows = Array.from({ length: 40 }, () => {
        const row = Array.from({ length: 4 }, draw.normal);
        if (description.statistics) row[0] = 1000 + 0.01 * row[0];
        if (description.observationSpace.mask) row.splice(1, 3, Number(row[1] > 0), 1, Number(row[2] > 0));
        return row.map(Math.fround);
      });
      writeFileSync(join(folder, 'policy.h'), policyHeader(whole));
      writeFileSync(join(folder, 'main.c'), main(description));
      const binary = join(folder, 'policy');
      const flags = ['-std=c99', '-Wall', '-Wextra', '-Werror', '-O1', '-o', binary, join(folder, 'main.c'), '-lm'];
      execFileSync(compiler!, flags);
      const text = execFileSync(binary, { input: rows.flat().join(' '), encoding: 'utf8' });
      const expected = rows.flatMap((row) => policy.act(row));
      const got = text.trim().split('\n').map(Number);
      expect(got.length, name).toBe(expected.length);
      if (description.actionSpace.kind === 'discrete') {
        expect(got, name).toEqual(expected);
        expect(new Set(got).size, name).toBeGreaterThan(1);
      } else {
        for (const [i, x] of expected.entries())
          expect(Math.abs(got[i] - x), name).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(x)));
      }
    }
  });

  it('of images is refused', () => {
    const images = { ...base, algorithm: 'ppo' as const, actionSpace: discrete, tensors: {} };
    const observationSpace = { ...box(4, 255), shape: [1, 2, 2] };
    expect(() => policyHeader({ ...images, observationSpace })).toThrow('this one reads images');
  });
});
