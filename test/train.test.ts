import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { call, ownFolder, rowsOf } from './support/heed.ts';

const folder = ownFolder();
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);

describe('heed train', () => {
  it('learns CartPole from preferences in 10,000 steps, and leaves a run with its report', async () => {
    const { code, stdout, stderr } = await call(
      ['train', '--env', 'CartPole-v1', '--steps', '10000', '--json'],
      folder.path,
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/held-out accuracy (> )?\d+\.\d % {2}choices foreseen \d+\.\d %/);
    const result = lastLine(stdout);
    expect(result).toEqual({
      run: expect.stringMatching(/^runs.\d{8}-\d{6}-CartPole-v1$/),
      return: { mean: expect.any(Number), std: expect.any(Number), episodes: 100 },
      labels: 10,
      steps: expect.any(Number),
      foreseen: expect.any(Number),
      heldOutAccuracy: expect.any(Number),
      correlation: { pearson: expect.any(Number), spearman: expect.any(Number) },
      seconds: expect.any(Number),
      diagnosis: expect.objectContaining({ summary: expect.any(String) }),
    });
    const { healthy, findings } = result.diagnosis;
    expect(findings.map(({ severity }: { severity: string }) => severity)).not.toContain('failure');
    expect(healthy).toBe(findings.length === 0);
    expect(result.return.mean).toBeGreaterThan(60); // random play earns 22
    expect(result.correlation.pearson).toBeGreaterThan(0.7);

    const run = join(folder.path, result.run);
    expect(readdirSync(run).sort()).toEqual([
      'checkpoints',
      'config.json',
      'metrics.jsonl',
      'report.html',
      'samples.jsonl',
    ]);
    const rows = rowsOf(run);
    expect(rows[0]).toMatchObject({ step: 0, 'return/mean': expect.any(Number) });
    expect(rows.at(-1)).toMatchObject({ step: result.steps, labels: 10, 'return/mean': result.return.mean });
    expect(rows.at(-1)).toHaveProperty('reward/correlation_pearson', result.correlation.pearson);
    const comparisons = readFileSync(join(run, 'samples.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const asked = comparisons.filter(({ kind }) => kind === 'comparison');
    expect(asked).toHaveLength(10);
    expect(result.heldOutAccuracy).toBeGreaterThan(0.7);
    for (const { first, lengths } of asked) expect(first).toHaveLength(lengths[0]);
    const report = readFileSync(join(run, 'report.html'), 'utf8');
    for (const title of [
      'Return',
      'Held-out accuracy',
      'Learned against true reward',
      'Disagreement',
      'Queries',
      'What it learned',
      'Configuration',
    ]) {
      expect(report).toContain(title);
    }
    expect(report).not.toMatch(/(src|href)="?https?:/);

    const again = await call(['report', result.run, '--json'], folder.path);
    expect(lastLine(again.stdout)).toEqual({ run: result.run, report: join(result.run, 'report.html') });
    expect(readFileSync(join(run, 'report.html'), 'utf8')).toBe(report);
  });

  it('shows at most 24 comparisons, evenly over the labels, and stops asking when the budget is spent', async () => {
    const flags = [
      '--steps',
      '2000',
      '--random-steps',
      '512',
      '--labels',
      '48',
      '--episodes',
      '2',
      '--reward.steps',
      '1',
      '--reward.first-steps',
      '1',
    ];
    const { code, stdout } = await call(['train', ...flags, '--out', 'many', '--json'], folder.path);
    expect(code).toBe(0);
    expect(lastLine(stdout).labels).toBe(48);
    const samples = readFileSync(join(folder.path, 'many', 'samples.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const shown = samples.map((line) => JSON.parse(line)).filter(({ kind }) => kind === 'comparison');
    expect(shown.map(({ label }) => label)).toEqual(Array.from({ length: 24 }, (_, i) => 2 * i + 2));
  });
});

describe('heed rl', () => {
  it('learns CartPole from its own reward, with settings from a file and flags over them', async () => {
    const { code, stdout } = await call(['rl', '--steps', '10000', '--out', 'rl', '--json'], folder.path);
    expect(code).toBe(0);
    const result = lastLine(stdout);
    expect(result).toEqual({
      run: 'rl',
      return: { mean: expect.any(Number), std: expect.any(Number), episodes: 100 },
      steps: expect.any(Number),
      seconds: expect.any(Number),
      stepsPerSecond: expect.any(Number),
      diagnosis: expect.objectContaining({ healthy: true, findings: [] }),
    });
    expect(result.return.mean).toBeGreaterThan(60);
    expect(existsSync(join(folder.path, 'rl', 'report.html'))).toBe(true);
    const again = await call(['rl', '--resume', 'rl', '--json'], folder.path);
    expect(again).toMatchObject({ stdout, stderr: expect.stringContaining('"rl" had already finished') });
    expect(await call(['train', '--resume', 'rl'], folder.path)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('heed rl --resume rl'),
    });
  });

  it('refuses a folder that holds something else', async () => {
    expect(await call(['rl', '--out', '.'], folder.path)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not empty'),
    });
  });
});
