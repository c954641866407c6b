import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { call, interrupt, killAt, ownFolder, traceOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const llama = smallModel();
const names = ['pole', 'sft', 'reward', 'ppo', 'judged'];
const markup = '<b>red</b>';

const stages = [
  { name: 'pole', command: 'rl', settings: { steps: 1024, evaluations: 2, episodes: 2, ppo: { epochs: 2 } } },
  {
    command: 'sft',
    settings: {
      ...{ model: llama, data: 'texts.jsonl', rows: 4, steps: 10, evaluations: 2, learningRate: 5e-3 },
      samples: { maxTokens: 4 },
    },
  },
  { command: 'reward', settings: { model: '@sft', data: 'pairs.jsonl', batch: 4, evaluations: 2 } },
  {
    command: 'ppo',
    settings: {
      ...{ model: '@sft', reward: '@reward', data: 'prompts.jsonl', steps: 4, batch: 4, maxTokens: 4, evaluations: 2 },
      ppo: { minibatch: 2 },
    },
  },
  { name: 'judged', command: 'eval reward', settings: { model: '@reward', data: 'pairs.jsonl' } },
];
const recipe = { name: 'Whole', seed: 1, stages, completions: { count: 2, maxTokens: 4 } };
const write = (name: string, value: unknown) => writeFileSync(at(name), JSON.stringify(value));
const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const pipeline = (...args: string[]) => call(['pipeline', ...args], folder.path);
/** A recipe with one stage changed. */
const changed = (name: string, settings: object) => ({
  ...recipe,
  stages: stages.map((stage) =>
    (stage.name ?? stage.command) === name ? { ...stage, settings: { ...stage.settings, ...settings } } : stage,
  ),
});

/** What no clock touches of a pipeline's samples: which stage came when, and what of it. */
const events = (run: string) =>
  readFileSync(at(run, 'samples.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map(({ result, ...row }) => ({ ...row, ...(result && { result: timeless(result, run) }) }));
function timeless(
  { seconds: _, tokensPerSecond: __, stepsPerSecond: ___, ...result }: Record<string, unknown>,
  run: string,
) {
  return JSON.parse(JSON.stringify(result).replaceAll(`"${run}/`, '"RUN/'));
}
const traces = (run: string) =>
  names.map((name) =>
    name === 'judged' ? readFileSync(at(run, name, 'samples.jsonl'), 'utf8') : traceOf(at(run, name)),
  );

beforeAll(() => {
  writeFileSync(
    at('texts.jsonl'),
    lines(Array.from({ length: 40 }, (_, i) => ({ text: `the number ${i} is ${i % 3}` }))),
  );
  writeFileSync(at('prompts.jsonl'), lines([markup, 'a blue', 'sun', 'the moon'].map((prompt) => ({ prompt }))));
  const pair = (_: unknown, i: number) => ({ prompt: `number ${i}`, chosen: ` is ${i % 3}`, rejected: ` was ${i}` });
  writeFileSync(at('pairs.jsonl'), lines(Array.from({ length: 20 }, pair)));
  write('recipe.json', recipe);
});

describe('heed pipeline', () => {
  it('runs stages one after another, each a run, and makes one report of all', async () => {
    const { code, stdout, stderr } = await pipeline(
      'recipe.json',
      '--out',
      'whole',
      '--log',
      'tensorboard:events',
      '--json',
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    for (const [i, name] of names.entries()) {
      expect(stderr).toMatch(new RegExp(`stage ${i + 1} of 5: heed .* in whole/${name}`));
    }
    expect(readdirSync(at('events')).sort()).toEqual([...names].sort());
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const result = lastLine(stdout);
    expect(result).toMatchObject({ run: 'whole', report: join('whole', 'report.html'), seconds: expect.any(Number) });
    expect(result.stages.map(({ name, run }: Record<string, string>) => [name, run])).toEqual(
      names.map((name) => [name, join('whole', name)]),
    );
    const [pole, sft, reward, ppo, judged] = result.stages;
    expect(pole).toMatchObject({ command: 'rl', return: { mean: expect.any(Number) } });
    expect(sft).toMatchObject({ model: join('whole', 'sft', 'model'), loss: { eval: expect.any(Number) } });
    expect(reward).toMatchObject({ accuracy: expect.any(Number), n: expect.any(Number) });
    expect(ppo).toMatchObject({ reward: { after: expect.any(Number) }, kl: expect.any(Number) });
    expect(judged).toMatchObject({ command: 'eval reward', accuracy: expect.any(Number), n: 20 });
    const { prompts, models } = result.completions;
    expect(prompts).toEqual([markup, 'a blue']);
    expect(models.map(({ name, texts }: { name: string; texts: string[] }) => [name, texts.length])).toEqual([
      ...[
        ['base', 2],
        ['sft', 2],
        ['ppo', 2],
      ],
    ]);

    const config = (name: string) => JSON.parse(readFileSync(at('whole', name, 'config.json'), 'utf8')).config;
    expect(config('ppo')).toMatchObject({
      ...{ model: join('whole', 'sft', 'model'), reward: join('whole', 'reward', 'model'), seed: 1 },
    });
    const report = readFileSync(at('whole', 'report.html'), 'utf8');
    for (const name of names) expect(report).toContain(`<a href="./${name}/report.html">${name}</a>`);
    for (const title of [
      'Whole',
      'What each stage changed',
      'The same prompts, model by model',
      'pole: Return',
      'sft: Loss',
    ]) {
      expect(report).toContain(title);
    }
    expect(report).not.toContain(markup);
    expect(lastLine((await call(['report', 'whole', '--json'], folder.path)).stdout).run).toBe('whole');
    expect(readFileSync(at('whole', 'report.html'), 'utf8')).toBe(report);

    const again = await pipeline('--resume', 'whole', '--json');
    expect(again).toMatchObject({ code: 0, stderr: expect.not.stringContaining('stage 1') });
    expect(lastLine(again.stdout)).toEqual(result);
  });

  it('killed at any moment and resumed equals an uninterrupted one, bit for bit', async () => {
    const everyIteration = ['--checkpoint-seconds', '0'];
    let args = ['recipe.json', '--out', 'killed'];
    for (const change of [40, 60, 90, 120]) {
      await killAt(change, ['pipeline', ...args, ...everyIteration], folder.path);
      args = ['--resume', 'killed'];
    }
    expect(await pipeline(...args, ...everyIteration)).toMatchObject({ code: 0 });
    const unmoved = (run: string) => JSON.parse(JSON.stringify(events(run)).replaceAll(run, 'RUN'));
    expect(unmoved('killed')).toEqual(unmoved('whole'));
    expect(traces('killed')).toEqual(traces('whole'));
  });

  it('stops at Ctrl-C with a checkpoint, and its stage goes on by its own command too', async () => {
    const slow = changed('sft', { steps: 400, evaluations: 0 });
    write('slow.json', { ...slow, stages: slow.stages.slice(1, 3) });
    const stopped = await interrupt('1/400', ['pipeline', 'slow.json', '--out', 'stopped'], folder.path);
    expect(stopped).toMatchObject({ code: 130, stderr: expect.stringContaining('heed pipeline --resume stopped') });
    expect(existsSync(at('stopped', 'report.html'))).toBe(true);
    expect((await call(['sft', '--resume', join('stopped', 'sft')], folder.path)).code).toBe(0);
    const { code, stdout } = await pipeline('--resume', 'stopped', '--json');
    expect(code).toBe(0);
    expect(lastLine(stdout).stages).toHaveLength(2);
  });

  it('does again from a stage on, beside the old folders', async () => {
    const ppo = traceOf(at('whole', 'ppo'));
    const { code, stdout, stderr } = await pipeline('--resume', 'whole', '--from', 'reward', '--json');
    expect(code).toBe(0);
    expect(stderr).not.toContain('heed sft');
    const result = lastLine(stdout);
    expect(result.stages.map(({ run }: { run: string }) => run)).toEqual(
      ['pole', 'sft', 'reward.2', 'ppo.2', 'judged.2'].map((name) => join('whole', name)),
    );
    expect(traceOf(at('whole', 'ppo'))).toEqual(ppo);
    expect(traceOf(at('whole', 'ppo.2')).tensors).toEqual(ppo.tensors); // the same seed
  });

  it('takes another recipe for what has not been done, and refuses one for what has', async () => {
    write('other.json', changed('ppo', { steps: 2 }));
    const refused = await pipeline('other.json', '--resume', 'whole');
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('differs from stage "ppo" on') });
    expect(refused.stderr).toContain('--from ppo');
    const { code, stdout } = await pipeline('other.json', '--resume', 'whole', '--from', 'ppo', '--json');
    expect(code).toBe(0);
    expect(lastLine(stdout).stages[3]).toMatchObject({ run: join('whole', 'ppo.3'), steps: 2 });
  });

  it('loses nothing when a stage fails, and goes on once that is put right', async () => {
    writeFileSync(
      at('bad.jsonl'),
      lines([
        { prompt: 'a', chosen: 'b', rejected: 'c' },
        { prompt: 'a', chosen: 'b' },
      ]),
    );
    const bad = changed('reward', { data: 'bad.jsonl' });
    write('bad.json', { ...bad, stages: bad.stages.slice(1, 3) });
    const failed = await pipeline('bad.json', '--out', 'failed');
    expect(failed).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Stage "reward", 2 of 2: "bad.jsonl", line 2'),
    });
    expect(failed.stderr).toContain('heed pipeline --resume failed');
    expect(readdirSync(at('failed')).sort()).toEqual([
      'config.json',
      'metrics.jsonl',
      'report.html',
      'samples.jsonl',
      'sft',
    ]);
    const model = readFileSync(at('failed', 'sft', 'model', 'model.safetensors'));
    write('good.json', { ...recipe, stages: stages.slice(1, 3) });
    const { code, stderr } = await pipeline('good.json', '--resume', 'failed');
    expect(code).toBe(0);
    expect(stderr).not.toContain('heed sft');
    expect(readFileSync(at('failed', 'sft', 'model', 'model.safetensors'))).toEqual(model);
  });

  it('refuses what does not make sense before anything is made', async () => {
    write('wrong.json', { stages: [{ command: 'sft', settings: { model: '@sft', epoch: 1 } }, { command: 'pppo' }] });
    writeFileSync(at('torn.json'), '{"stages": [');
    const before = readdirSync(folder.path);
    for (const [args, message] of [
      [['wrong.json'], /settings\.epoch[\s\S]*@sft is the stage itself[\s\S]*there is no stage "pppo"/],
      [['torn.json'], /"torn\.json" is not JSON/],
      [['nowhere.json'], /nowhere\.json/],
      [['recipe.json', '--from', 'ppo'], /--resume/],
      [['recipe.json', '--seed', 'x'], /--seed: expected a number, got "x"/],
      [['--resume', 'whole', '--from', 'pppo'], /no stage "pppo": expected one of pole, sft, /],
      [['--resume', 'whole', '--out', 'x'], /--out/],
      [['--resume', join('whole', 'sft')], /a run of "heed sft"/],
    ] as const) {
      const outcome = await pipeline(...args);
      expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
    }
    expect(readdirSync(folder.path)).toEqual(before);
  });
});
