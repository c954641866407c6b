import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { call, ownFolder, rowsOf } from './support/heed.ts';
import { fixtureModel, smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const llama = smallModel();
const judge = smallModel('tiny-llama-rm');
const small = ['--data', 'prompts.jsonl', '--batch', '4', '--max-tokens', '4', '--ppo.minibatch', '2'];

beforeAll(() => {
  const prompts = ['red', 'a blue', 'sun', 'the moon'].map((prompt) => JSON.stringify({ prompt, avoid: 'moon' }));
  writeFileSync(at('prompts.jsonl'), prompts.join('\n'));
});

it('trains a policy against a reward model, tells what came of it, and leaves models and a report', async () => {
  const run = [...small, '--steps', '4', '--evaluations', '2', '--evaluation.probes', 'prompts.jsonl', '--out', 'run'];
  const { code, stdout, stderr } = await call(
    ['ppo', '--model', llama, '--reward', judge, ...run, '--json'],
    folder.path,
  );
  expect(stderr).not.toContain('error');
  expect(code).toBe(0);
  const result = JSON.parse(stdout.trim().split('\n').at(-1)!);
  expect(result).toMatchObject({
    run: 'run',
    model: join('run', 'model'),
    reward: { before: expect.any(Number), after: expect.any(Number) },
    kl: expect.any(Number),
    steps: 4,
    seconds: expect.any(Number),
  });
  const rows = rowsOf(at('run'));
  expect(rows.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
  expect(rows[0]['eval/reward']).toBe(result.reward.before);
  expect(rows[0]['eval/kl']).toBeCloseTo(0, 4);
  expect(rows[4]['eval/reward']).toBe(result.reward.after);
  for (const name of [
    'reward/mean',
    'reward/std',
    'kl/mean',
    'policy/entropy',
    'policy/ratio',
    'value/explained_var',
  ]) {
    expect(rows[4][name], name).toEqual(expect.any(Number));
  }
  expect(rows[4]['probe/failed']).toEqual(expect.any(Number));
  const report = readFileSync(at('run', 'report.html'), 'utf8');
  for (const said of ['Completions before and after', 'KL from the reference', 'Failed probes'])
    expect(report).toContain(said);
  expect((await call(['report', 'run'], folder.path)).code).toBe(0);
  for (const model of ['model', 'best']) {
    const said = await call(
      ['generate', '--model', join('run', model), '--prompt', 'red', '--max-tokens', '2'],
      folder.path,
    );
    expect(said.code).toBe(0);
  }
});

it('says what is wrong before it begins', async () => {
  const wrong = async (...args: string[]) => call(['ppo', ...small, '--steps', '1', ...args], folder.path);
  expect(await wrong()).toMatchObject({ code: 2, stderr: expect.stringContaining('model') });
  expect(await wrong('--model', llama, '--reward', 'nothing.mjs')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('nothing.mjs'),
  });
  const policy = await wrong('--model', llama, '--reward', llama);
  expect(policy).toMatchObject({ code: 1, stderr: expect.stringContaining('not a reward model') });
  const alien = await wrong('--model', llama, '--reward', judge, '--reference', fixtureModel('tiny-qwen2'));
  expect(alien).toMatchObject({ code: 1, stderr: expect.stringContaining('a different vocabulary') });
});
