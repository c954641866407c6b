import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../src/lm/model.ts';
import { call, ownFolder, rowsOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const llama = smallModel();
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const small = ['--rows', '4', '--learning-rate', '5e-3', '--evaluations', '2', '--samples.max-tokens', '8'];

beforeAll(() => {
  const chats = Array.from({ length: 60 }, (_, i) => ({
    messages: [
      { role: 'user', content: `${i} and ${i % 7}?` },
      { role: 'assistant', content: `${i % 2 ? 'odd' : 'even'} ${i % 7}` },
    ],
  }));
  writeFileSync(at('chats.jsonl'), chats.map((row) => `${JSON.stringify(row)}\n`).join(''));
  writeFileSync(at('asked.csv'), `prompt,completion\n${'2+2=,4\n1+1=,2\n'.repeat(20)}`);
  writeFileSync(at('bad.jsonl'), '{"text":"good"}\n{"text":3}\n{"text":"good too"}\n');
});

describe('heed sft', () => {
  it('learns what assistants wrote, and leaves models that load again, and its report', async () => {
    const { code, stdout, stderr } = await call(
      ['sft', '--model', llama, '--data', 'chats.jsonl', ...small, '--epochs', '4', '--out', 'run', '--json'],
      folder.path,
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const result = lastLine(stdout);
    expect(result).toEqual({
      run: 'run',
      model: join('run', 'model'),
      loss: { train: expect.any(Number), eval: expect.any(Number) },
      perplexity: expect.any(Number),
      tokensPerSecond: expect.any(Number),
      seconds: expect.any(Number),
      diagnosis: expect.objectContaining({ findings: expect.any(Array) }),
    });
    const rows = rowsOf(at('run'));
    expect(rows[0]).toMatchObject({ step: 0, 'loss/eval': expect.any(Number) });
    expect(rows.filter((row) => 'loss/eval' in row)).toHaveLength(3);
    expect(rows.at(-1)!['loss/eval']).toBe(result.loss.eval);
    expect(result.loss.eval).toBeLessThan(rows[0]['loss/eval'] - 2);
    expect(readdirSync(at('run')).sort()).toEqual([
      ...['best', 'checkpoints', 'config.json', 'metrics.jsonl', 'model', 'report.html', 'samples.jsonl'],
    ]);
    for (const name of ['model', 'best']) {
      const model = await loadModel(at('run', name));
      expect(model.tokenizer.chatTemplate).toBeDefined();
      expect(model.ends).toEqual([2]);
      model.parameters[Symbol.dispose]();
    }
    const report = readFileSync(at('run', 'report.html'), 'utf8');
    for (const title of ['Loss', 'Completions before and after', 'Perplexity', 'Configuration']) {
      expect(report).toContain(title);
    }
    const again = await call(['report', 'run', '--json'], folder.path);
    expect(lastLine(again.stdout)).toEqual({ run: 'run', report: join('run', 'report.html') });
    expect(readFileSync(at('run', 'report.html'), 'utf8')).toBe(report);
  });

  it('goes on from a model it made, on prompts with completions, with other held-out data', async () => {
    const data = ['--data', 'asked.csv', '--evaluation.data', 'asked.csv'];
    const { code, stdout } = await call(
      ['sft', '--model', join('run', 'best'), ...data, ...small, '--out', 'next', '--dtype', 'BF16', '--json'],
      folder.path,
    );
    expect(code).toBe(0);
    expect(lastLine(stdout).loss.eval).toBeLessThan(1);
    const { raw, parameters } = await loadModel(at('next', 'model'));
    expect(raw.dtype).toBe('bfloat16');
    parameters[Symbol.dispose]();
  });

  it('stops at a bad row, or leaves it out and says so', async () => {
    const args = ['sft', '--model', llama, '--data', 'bad.jsonl', '--steps', '1'];
    const stopped = await call([...args, '--out', 'stopped'], folder.path);
    expect(stopped).toMatchObject({ code: 1, stderr: expect.stringContaining('"bad.jsonl", line 2: "text"') });
    const skipped = await call([...args, '--out', 'skipped', '--on-bad-row', 'skip'], folder.path);
    expect(skipped).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('"bad.jsonl": left out 1 row with errors'),
    });
  });

  it('refuses what is not there or does not make sense, without leaving a run', async () => {
    const before = readdirSync(folder.path);
    for (const [args, code, message] of [
      [['--model', 'nowhere'], 1, 'There is no folder "nowhere"'],
      [['--model', llama, '--data', 'nowhere.jsonl'], 1, 'nowhere.jsonl'],
      [['--loss', 'most'], 2, '--loss: expected one of'],
      [['--schedule', 'most'], 2, '--schedule: expected one of constant, '],
      [['--rows', '0'], 2, '--rows'],
    ] as const) {
      const outcome = await call(['sft', ...args, '--out', 'wrong'], folder.path);
      expect(outcome).toMatchObject({ code, stderr: expect.stringContaining(message) });
    }
    expect(readdirSync(folder.path)).toEqual(before);
  });
});

describe('heed pretrain', () => {
  const sizes = ['--hidden', '32', '--layers', '1', '--feed-forward', '64', '--rows', '4', '--tokens', '4000'];

  it('makes a model of the reviews that heed sft takes', async () => {
    const { code, stdout } = await call(
      ['pretrain', ...sizes, '--held-out', '8', '--samples.max-tokens', '8', '--out', 'base', '--json'],
      folder.path,
    );
    expect(code).toBe(0);
    const { model, measures } = lastLine(stdout);
    expect(measures).toMatchObject({ 'loss/entropy': expect.any(Number), 'text/coherent': expect.any(Number) });
    expect(readFileSync(at('base', 'report.html'), 'utf8')).toContain('entropy of the text');
    const tuned = await call(
      ['sft', '--model', model, '--demonstrations', '40', ...small, '--out', 'tuned', '--json'],
      folder.path,
    );
    expect(tuned).toMatchObject({ code: 0 });
    expect(lastLine(tuned.stdout).measures).toEqual({
      'reward/true': expect.any(Number),
      'text/accepted': expect.any(Number),
    });
  });
});
