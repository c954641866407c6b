/** What learns from its own answers without a critic, as whole commands. */
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

const common = [
  '--model',
  llama,
  '--data',
  'prompts.jsonl',
  '--reward',
  'even.js',
  '--evaluation.data',
  'prompts.jsonl',
];
// steps are large for so small a model: the limit of 6 nats would slow them
const small = [...common, '--max-tokens', '6', '--batch', '4', '--evaluations', '2', '--learning-rate', '0.01'].concat([
  '--max-kl',
  '10',
]);
const commands: Record<string, string[]> = {
  reinforce: ['--steps', '10', '--batch', '16'],
  rloo: ['--steps', '10', '--max-kl', '0'],
  grpo: ['--steps', '10', '--loss', 'dapo', '--beta', '0.01'],
  raft: ['--steps', '6'],
  'online-dpo': ['--steps', '10', '--batch', '16'],
  rest: ['--steps', '4', '--minibatches', '2', '--thresholds', '0.5,0.75'],
};

beforeAll(() => {
  const prompts = Array.from({ length: 24 }, (_, i) => `${JSON.stringify({ prompt: `the number ${i} is` })}\n`);
  writeFileSync(at('prompts.jsonl'), prompts.join(''));
  // the share of even tokens
  writeFileSync(
    at('even.js'),
    'export default (answers) => answers.map(({ response }) => response.filter((id) => id % 2 === 0).length / response.length);\n',
  );
});

it.each(Object.entries(commands))(
  'heed %s learns what is rewarded, and leaves a model and a report',
  async (name, more) => {
    const out = `run-${name}`;
    const { code, stdout, stderr } = await call([name, ...small, ...more, '--out', out, '--json'], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const result = lastLine(stdout);
    expect(result).toEqual({
      run: out,
      model: join(out, 'model'),
      reward: { before: expect.any(Number), after: expect.any(Number) },
      kl: expect.any(Number),
      steps: Number(more[1]),
      seconds: expect.any(Number),
      diagnosis: expect.objectContaining({ findings: expect.any(Array) }),
    });
    expect(result.reward.after).toBeGreaterThan(result.reward.before + 0.1);
    const rows = rowsOf(at(out));
    expect(rows[0]['eval/reward']).toBe(result.reward.before);
    expect(rows.at(-1)).toMatchObject({ 'loss/policy': expect.any(Number), 'gradient/norm': expect.any(Number) });
    for (const model of ['model', 'best']) (await loadModel(at(out, model))).parameters[Symbol.dispose]();
    expect(readFileSync(at(out, 'report.html'), 'utf8')).toContain('Completions before and after');
    expect((await call(['report', out], folder.path)).code).toBe(0);
  },
);

it.each(['rloo', 'grpo', 'online-dpo'])(
  'heed %s, stopped on the way and resumed, equals an uninterrupted run bit for bit',
  async (name) => {
    const stopped = `stopped-${name}`;
    const args = [name, ...small, ...commands[name], '--out', stopped];
    expect((await interrupt('%', args, folder.path)).code).toBe(130);
    expect(rowsOf(at(stopped)).length).toBeLessThan(rowsOf(at(`run-${name}`)).length);
    expect((await call([name, '--resume', stopped], folder.path)).code).toBe(0);
    expect(traceOf(at(stopped))).toEqual(traceOf(at(`run-${name}`)));
  },
);

describe('heed best-of-n', () => {
  const draw = ['bestofn', ...common.slice(0, 6), '--max-tokens', '6', '--completions', '8'];

  it('draws, and leaves the best as a dataset that heed sft takes', async () => {
    const { code, stdout, stderr } = await call([...draw, '--gold', 'even.js', '--out', 'best', '--json'], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const result = lastLine(stdout);
    expect(result).toMatchObject({ run: 'best', data: join('best', 'best.jsonl'), steps: 3, gold: result.reward });
    expect(result.curve.map(({ n }: { n: number }) => n)).toEqual([1, 2, 4, 8]);
    expect(result.reward.after).toBeGreaterThan(result.reward.before + 0.2);
    expect(readdirSync(at('best'))).toEqual(expect.arrayContaining(['best.jsonl', 'report.html', 'metrics.jsonl']));
    const learn = [
      'sft',
      '--model',
      llama,
      '--data',
      result.data,
      '--steps',
      '1',
      '--evaluations',
      '1',
      '--out',
      'sft',
    ];
    expect((await call(learn, folder.path)).code).toBe(0);
  });

  it('stops at Ctrl-C, and goes on from there', async () => {
    expect((await interrupt('%', [...draw, '--batch', '1', '--out', 'stopped'], folder.path)).code).toBe(130);
    const { code, stdout } = await call(['best-of-n', '--resume', 'stopped', '--json'], folder.path);
    expect(code).toBe(0);
    expect(lastLine(stdout).steps).toBe(24);
  });
});

it.each<[string, string[], RegExp]>([
  [
    'a level that a loss does not have',
    ['grpo', ...small, '--loss', 'sapo', '--level', 'sequence'],
    /no ratio of whole/,
  ],
  ['thresholds that do not rise', ['rest', ...small, '--thresholds', '0.5,0.2'], /rising/],
  ['one answer to compare', ['rloo', ...small, '--completions', '1'], /completions/],
  ['a reward that is not there', ['grpo', ...small, '--reward', 'none.js'], /none\.js/],
  ['answers longer than the model', ['raft', ...small, '--max-tokens', '9999'], /positions/],
])('says what is wrong with %s, before anything is computed', async (_, args, message) => {
  const { code, stderr } = await call([...args, '--out', 'bad'], folder.path);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(message);
  expect(readdirSync(folder.path)).not.toContain('bad');
});
