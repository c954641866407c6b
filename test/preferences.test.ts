import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../src/lm/model.ts';
import { call, killAt, ownFolder, rowsOf, traceOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const llama = smallModel();
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const small = [
  ...['--model', llama, '--batch', '6', '--steps', '6', '--evaluations', '1', '--evaluation.share', '0.2'],
  ...['--evaluation.prompts', '2', '--evaluation.max-tokens', '4', '--learning-rate', '2e-3'],
];

beforeAll(() => {
  const pairs = Array.from({ length: 20 }, (_, i) => ({ prompt: `${i}?`, chosen: ' red sun', rejected: ` no ${i}` }));
  const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  writeFileSync(at('pairs.jsonl'), lines(pairs));
  writeFileSync(at('equal.jsonl'), lines([...pairs, { prompt: 'A', chosen: ' b', rejected: ' b' }]));
  const rated = pairs.flatMap(({ prompt, chosen, rejected }) => [
    { prompt, completion: chosen, label: true },
    { prompt, completion: rejected, label: false },
  ]);
  writeFileSync(at('rated.jsonl'), lines(rated));
  writeFileSync(at('length.js'), 'export default (answers) => answers.map(({ text }) => text.length);\n');
});

describe('heed dpo', () => {
  const begin = (out: string) => ['dpo', ...small, '--data', 'pairs.jsonl', '--reward', 'length.js', '--out', out];

  it('learns from pairs, tells how well and what its answers are worth, and leaves models and a report', async () => {
    const { code, stdout, stderr } = await call([...begin('whole'), '--json'], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const result = lastLine(stdout);
    expect(result).toEqual({
      run: 'whole',
      model: join('whole', 'model'),
      loss: { train: expect.any(Number), eval: expect.any(Number) },
      accuracy: expect.any(Number),
      reward: { before: expect.any(Number), after: expect.any(Number) },
      kl: expect.any(Number),
      steps: 6,
      seconds: expect.any(Number),
      diagnosis: expect.objectContaining({ findings: expect.any(Array) }),
    });
    expect(result.loss.eval).toBeLessThan(0.6);
    const rows = rowsOf(at('whole'));
    expect(rows[0]).toMatchObject({
      step: 0,
      'eval/rewards/accuracies': expect.any(Number),
      'eval/kl': expect.any(Number),
    });
    for (const name of ['chosen', 'rejected', 'margins', 'accuracies'])
      expect(rows[1]).toHaveProperty(`rewards/${name}`);
    for (const name of ['model', 'best']) (await loadModel(at('whole', name))).parameters[Symbol.dispose]();
    const report = readFileSync(at('whole', 'report.html'), 'utf8');
    for (const title of ['Accuracy', 'KL from the reference', 'Completions before and after'])
      expect(report).toContain(title);
    expect(await call(['report', 'whole'], folder.path)).toMatchObject({ code: 0 });
    expect(readFileSync(at('whole', 'report.html'), 'utf8')).toBe(report);
  });

  it('killed and resumed equals an uninterrupted run, bit for bit', async () => {
    await killAt(50, [...begin('killed'), '--checkpoint-seconds', '0'], folder.path);
    expect(await call(['dpo', '--resume', 'killed'], folder.path)).toMatchObject({ code: 0 });
    expect(traceOf(at('killed'))).toEqual(traceOf(at('whole')));
    const [killed, whole] = ['killed', 'whole'].map((run) => readFileSync(at(run, 'model', 'model.safetensors')));
    expect(killed.equals(whole)).toBe(true);
  });

  it('refuses what is wrong before a run begins', async () => {
    const before = readdirSync(folder.path);
    for (const [args, code, message] of [
      [['--data', 'equal.jsonl'], 1, '"equal.jsonl", line 21: "chosen" and "rejected" are equal'],
      [['--data', 'rated.jsonl'], 1, 'rated.jsonl'],
      [['--data', 'pairs.jsonl', '--loss', 'best'], 2, 'loss'],
      [['--data', 'pairs.jsonl', '--reward', 'nowhere.js'], 1, 'nowhere.js'],
    ] as const) {
      const outcome = await call(['dpo', ...small, ...args, '--out', 'wrong'], folder.path);
      expect(outcome).toMatchObject({ code, stderr: expect.stringContaining(message) });
    }
    expect(readdirSync(folder.path)).toEqual(before);
  });
});

it.each([
  ['orpo', 'pairs.jsonl'],
  ['cpo', 'pairs.jsonl'],
  ['kto', 'rated.jsonl'],
  ['bco', 'pairs.jsonl'],
])('heed %s learns from %s', async (command, data) => {
  const { code, stdout, stderr } = await call(
    [command, ...small, '--data', data, '--out', command, '--json'],
    folder.path,
  );
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const rows = rowsOf(at(command));
  expect(lastLine(stdout)).toMatchObject({ model: join(command, 'model'), steps: 6, kl: expect.any(Number) });
  expect(rows.at(-1)!['loss/eval']).toBeLessThan(rows[0]['loss/eval']);
});
