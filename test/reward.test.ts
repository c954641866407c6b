import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../src/lm/model.ts';
import { call, interrupt, ownFolder, rowsOf, traceOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const llama = smallModel();
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const small = ['--batch', '8', '--learning-rate', '2e-3', '--evaluations', '2'];

beforeAll(() => {
  const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const asked = (i: number) => [{ role: 'user', content: `${i} and ${i % 7}?` }];
  const said = (content: string) => [{ role: 'assistant', content }];
  const pairs = Array.from({ length: 60 }, (_, i) => ({
    prompt: asked(i),
    chosen: said(i % 2 ? 'a good cat' : 'the cat'),
    rejected: said(i % 3 ? 'the bad dog' : 'dogs'),
    source: i % 2 ? 'odd' : 'even',
  }));
  writeFileSync(at('pairs.jsonl'), lines(pairs));
  writeFileSync(at('equal.jsonl'), lines([pairs[0], { ...pairs[1], rejected: pairs[1].chosen }]));
  const completions = (from: 'chosen' | 'rejected') =>
    lines(pairs.map(({ prompt, ...pair }) => ({ prompt, completion: pair[from] })));
  writeFileSync(at('cats.jsonl'), completions('chosen'));
  writeFileSync(at('dogs.jsonl'), completions('rejected'));
});

describe('heed reward', () => {
  it('learns from comparisons, and leaves a model that judges, and its report', async () => {
    const { code, stdout } = await call(
      ['reward', '--model', llama, '--data', 'pairs.jsonl', ...small, '--epochs', '3', '--out', 'run', '--json'],
      folder.path,
    );
    expect(code).toBe(0);
    const result = lastLine(stdout);
    expect(result).toMatchObject({ run: 'run', model: join('run', 'model'), accuracy: 1, n: 6 });
    expect(result).toMatchObject({ interval: [expect.any(Number), 1], seconds: expect.any(Number) });
    expect(rowsOf(at('run'))[0]).toMatchObject({ step: 0, 'accuracy/eval': expect.any(Number) });
    expect(readdirSync(at('run')).sort()).toEqual([
      ...['best', 'checkpoints', 'config.json', 'metrics.jsonl', 'model', 'report.html', 'samples.jsonl'],
    ]);
    const { raw, parameters } = await loadModel(at('run', 'model'));
    expect(raw.architectures).toEqual(['LlamaForSequenceClassification']);
    parameters[Symbol.dispose]();

    const judged = await call(
      [
        ...['eval', 'reward', '--model', join('run', 'model'), '--data', 'pairs.jsonl', '--out', 'judged', '--json'],
        ...['--reference', 'dogs.jsonl', '--policy', 'cats.jsonl'],
      ],
      folder.path,
    );
    expect(judged).toMatchObject({ code: 0 });
    const { bySource, ...told } = lastLine(judged.stdout);
    expect(Object.keys(told).sort()).toEqual(['accuracy', 'ece', 'interval', 'longerWins', 'n']);
    expect(told).toMatchObject({ accuracy: 1, n: 60 });
    expect(bySource).toMatchObject({ odd: { n: 30, accuracy: 1 }, even: { n: 30, accuracy: 1 } });
    for (const [run, titles] of [
      ['run', ['Accuracy', 'Loss', 'Reliability', 'Margins', 'Accuracy by length', 'Configuration']],
      ['judged', ['Reliability', 'Margins', 'Accuracy by length', 'Accuracy by source', 'Drift']],
    ] as const) {
      const report = readFileSync(at(run, 'report.html'), 'utf8');
      for (const title of titles) expect(report).toContain(title);
      expect(await call(['report', run], folder.path)).toMatchObject({ code: 0 });
      expect(readFileSync(at(run, 'report.html'), 'utf8')).toBe(report);
    }
  });

  it('stopped on the way, goes on as if nothing had been', async () => {
    const args = ['reward', '--model', llama, '--data', 'pairs.jsonl', ...small, '--epochs', '4', '--members', '2'];
    const options = ['--checkpoint-seconds', '0', '--out'];
    expect(await call([...args, ...options, 'whole'], folder.path)).toMatchObject({ code: 0 });
    expect((await interrupt('1/', [...args, ...options, 'cut'], folder.path)).code).toBe(130);
    expect(await call(['reward', '--resume', 'cut'], folder.path)).toMatchObject({ code: 0 });
    expect(traceOf(at('cut'))).toEqual(traceOf(at('whole')));
    expect(readdirSync(at('cut', 'model'))).toEqual(['member-0', 'member-1']);
    const judged = await call(
      ['eval', 'reward', '--model', join('cut', 'model'), '--data', 'pairs.jsonl', '--out', 'both'],
      folder.path,
    );
    expect(judged).toMatchObject({ code: 0, stdout: expect.stringContaining('disagreement') });
  });

  it('refuses what is not there or does not make sense, without leaving a run', async () => {
    const before = readdirSync(folder.path);
    for (const [args, code, message] of [
      [
        ['reward', '--model', llama, '--data', 'equal.jsonl'],
        1,
        '"equal.jsonl", line 2: "chosen" and "rejected" are equal',
      ],
      [['reward', '--loss', 'plackett-luce', '--rating-margin', '1'], 2, '--loss: expected bradley-terry'],
      [['reward', '--teacher', 'nobody'], 1, "no teacher 'nobody'"],
      [['eval', 'reward', '--model', llama, '--data', 'pairs.jsonl'], 1, 'is a language model, not a reward model'],
      [['eval', 'reward', '--model', llama], 2, '--data'],
    ] as const) {
      const outcome = await call([...args, '--out', 'wrong'], folder.path);
      expect(outcome).toMatchObject({ code, stderr: expect.stringContaining(message) });
    }
    expect(readdirSync(folder.path)).toEqual(before);
  });
});
