import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { call, interrupt, ownFolder, rowsOf, traceOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const llama = smallModel();
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const small = [
  '--model',
  llama,
  '--data',
  'steps.jsonl',
  '--batch',
  '8',
  '--learning-rate',
  '2e-3',
  '--evaluations',
  '2',
];

beforeAll(() => {
  const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  // a step with a cat is right
  const rows = Array.from({ length: 60 }, (_, i) => {
    const labels = [i % 2 === 0, i % 3 > 0, i % 5 < 3].slice(0, 1 + (i % 3));
    return { prompt: `${i}:`, completions: labels.map((right) => (right ? 'a good cat' : 'the bad dog')), labels };
  });
  writeFileSync(at('steps.jsonl'), lines(rows));
  writeFileSync(at('prompts.jsonl'), lines(rows.map(({ prompt }) => ({ prompt }))));
  writeFileSync(at('uneven.jsonl'), lines([rows[0], { ...rows[1], labels: [true] }]));
  const share = (is: string) =>
    `export default (answers) => answers.map(({ response }) => response.filter((id) => ${is}).length / response.length);`;
  writeFileSync(at('even.mjs'), share('id % 2 === 0'));
  writeFileSync(at('odd.mjs'), share('id % 2 === 1'));
});

const onPolicy = ['--model', llama, '--data', 'prompts.jsonl', '--batch', '4', '--max-tokens', '6', '--steps', '2'];

describe('heed process', () => {
  it('learns which steps are right, and what it leaves rewards a policy by its steps', async () => {
    const { code, stdout } = await call(['process', ...small, '--epochs', '3', '--out', 'run', '--json'], folder.path);
    expect(code).toBe(0);
    const result = lastLine(stdout);
    expect(result).toMatchObject({
      run: 'run',
      model: join('run', 'model'),
      completions: { product: {}, min: {}, last: {} },
    });
    expect(result.accuracy).toBeGreaterThan(0.9);
    expect(rowsOf(at('run'))[0]).toMatchObject({ step: 0, 'accuracy/product': expect.any(Number) });
    expect(readdirSync(at('run', 'model'))).toEqual(
      expect.arrayContaining(['config.json', 'process.json', 'reward.json']),
    );
    const report = readFileSync(at('run', 'report.html'), 'utf8');
    for (const title of ['Accuracy by step', 'Accuracy by completion', 'In numbers']) expect(report).toContain(title);
    expect(await call(['report', 'run'], folder.path)).toMatchObject({ code: 0 });
    expect(readFileSync(at('run', 'report.html'), 'utf8')).toBe(report);

    const reward = ['--reward', join('run', 'model'), '--score.place', 'steps'];
    const rewarded = await call(['ppo', ...onPolicy, ...reward, '--out', 'ppo', '--json'], folder.path);
    expect(rewarded).toMatchObject({ code: 0 });
    expect(lastLine(rewarded.stdout).reward.after).toEqual(expect.any(Number));
  });

  it('stopped on the way, goes on as if nothing had been', async () => {
    const args = ['process', ...small, '--supervision', 'first-error', '--checkpoint-seconds', '0', '--out'];
    expect(await call([...args, 'whole'], folder.path)).toMatchObject({ code: 0 });
    expect((await interrupt('1/', [...args, 'cut'], folder.path)).code).toBe(130);
    expect(await call(['process', '--resume', 'cut'], folder.path)).toMatchObject({ code: 0 });
    expect(traceOf(at('cut'))).toEqual(traceOf(at('whole')));
  });

  it('refuses what is not there or does not make sense, without leaving a run', async () => {
    const before = readdirSync(folder.path);
    for (const [args, code, message] of [
      [['process', '--data', 'uneven.jsonl'], 1, 'line 2: "labels" has 1 values'],
      [['process', '--supervision', 'none'], 2, 'supervision'],
      [['ppo', ...onPolicy, '--reward', 'odd.mjs', '--subject-to', 'odd.mjs'], 1, 'is not a constraint'],
      [['pareto', ...onPolicy, '--reward', 'even.mjs'], 2, 'against'],
    ] as const) {
      const outcome = await call([...args, '--out', 'wrong'], folder.path);
      expect(outcome).toMatchObject({ code, stderr: expect.stringContaining(message) });
    }
    expect(readdirSync(folder.path)).toEqual(before);
  });
});

describe('several rewards', () => {
  it('one subject to another: a constraint is told of with its multiplier', async () => {
    writeFileSync(at('rate.json'), JSON.stringify({ lagrange: { rate: 1 } }));
    const rewards = ['--reward', 'even.mjs', '--subject-to', 'odd.mjs >= 0.9', '--config', 'rate.json'];
    const { code } = await call(['ppo', ...onPolicy, ...rewards, '--out', 'constrained'], folder.path);
    expect(code).toBe(0);
    const [, first, second] = rowsOf(at('constrained'));
    expect(first['lambda/odd.mjs']).toBeGreaterThan(0);
    expect(second['lambda/odd.mjs']).toBeGreaterThan(first['lambda/odd.mjs']);
    expect(readdirSync(at('constrained'))).not.toContain('best');
    expect(readFileSync(at('constrained', 'report.html'), 'utf8')).toContain('Multipliers');
  });

  it('a front of policies for several weights, which goes on when stopped', async () => {
    const args = ['pareto', ...onPolicy, '--reward', 'even.mjs', '--against', 'odd.mjs', '--weights', '0,1'];
    const options = ['--checkpoint-seconds', '0', '--json', '--out'];
    const { code, stdout } = await call([...args, ...options, 'front'], folder.path);
    expect(code).toBe(0);
    const { points, ...told } = lastLine(stdout);
    expect(told).toMatchObject({ run: 'front', rewards: ['even.mjs', 'odd.mjs'], steps: 4 });
    expect(told.hypervolume).toBeGreaterThanOrEqual(0);
    expect(points).toHaveLength(3);
    expect(points[2]).toMatchObject({ weight: 1, rewards: [expect.any(Number), expect.any(Number)] });
    expect(readdirSync(at('front', 'policy-1'))).toContain('config.json');
    expect(readFileSync(at('front', 'report.html'), 'utf8')).toContain('Pareto front');
    expect((await interrupt('1/', [...args, ...options, 'half'], folder.path)).code).toBe(130);
    expect(await call(['pareto', '--resume', 'half'], folder.path)).toMatchObject({ code: 0 });
    expect(traceOf(at('half'))).toEqual(traceOf(at('front')));
  });
});
