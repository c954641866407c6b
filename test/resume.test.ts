import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { random } from '../src/random.ts';
import { call, ownFolder, rowsOf, start, traceOf } from './support/heed.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);

const llama = fileURLToPath(new URL('./fixtures/models/tiny-llama', import.meta.url));
const commands = ['rl', 'train', 'sft', 'pretrain', 'ppo'] as const;
const small: Record<(typeof commands)[number], string[]> = {
  rl: ['--steps', '32000', '--evaluations', '4', '--episodes', '3', '--ppo.epochs', '4', '--ppo.normalizeObservations'],
  train: [
    ...['--steps', '8000', '--randomSteps', '600', '--labels', '12', '--evaluations', '4', '--episodes', '3'],
    ...['--ppo.epochs', '4', '--reward.firstSteps', '20', '--reward.steps', '10', '--teacher', 'mistake:0.2'],
    ...['--reward.bootstrap', '--query', 'random'],
  ],
  sft: [
    ...['--model', llama, '--data', 'texts.jsonl', '--rows', '4', '--steps', '40', '--evaluations', '4'],
    ...['--samples.maxTokens', '4'],
  ],
  pretrain: [
    ...['--hidden', '32', '--layers', '1', '--feedForward', '64', '--rows', '4', '--tokens', '15000'],
    ...['--heldOut', '8', '--evaluations', '4', '--samples.maxTokens', '2'],
  ],
  ppo: [
    ...['--model', llama, '--data', 'prompts.jsonl', '--reward', 'reward.mjs', '--steps', '20', '--evaluations', '4'],
    ...['--batch', '4', '--maxTokens', '4', '--ppo.minibatch', '2', '--score.normalize', 'running'],
  ],
};
/** Such as make a model that the others' checkpoints do not fit. */
const other: Record<(typeof commands)[number], string[]> = {
  rl: ['--ppo.hidden', '8', '--steps', '500'],
  train: ['--ppo.hidden', '8', '--steps', '500', '--randomSteps', '100', '--schedule.rounds', '1', '--labels', '1'],
  sft: ['--model', llama, '--data', 'others.jsonl', '--steps', '1'],
  pretrain: ['--hidden', '16', '--layers', '1', '--tokens', '1000', '--heldOut', '8', '--samples.maxTokens', '2'],
  ppo: [
    ...['--model', llama, '--data', 'prompts.jsonl', '--reward', 'reward.mjs', '--steps', '1', '--evaluations', '1'],
    ...['--batch', '4', '--maxTokens', '4', '--ppo.minibatch', '2', '--lora.rank', '1'],
  ],
};
const everyIteration = ['--checkpointSeconds', '0'];

beforeAll(() => {
  const rows = Array.from({ length: 60 }, (_, i) => `${JSON.stringify({ text: `the number ${i} is ${i % 3}` })}\n`);
  writeFileSync(at('texts.jsonl'), rows.join(''));
  writeFileSync(at('others.jsonl'), rows.slice(7).join(''));
  writeFileSync(at('prompts.jsonl'), ['red', 'a blue', 'sun'].map((prompt) => JSON.stringify({ prompt })).join('\n'));
  writeFileSync(at('reward.mjs'), 'export default (answers) => answers.map(({ response }) => response[0] / 256);\n');
});

describe.each(commands)('heed %s', (command) => {
  const begin = (out: string) => [command, ...small[command], '--out', out];
  const resume = (out: string, ...more: string[]) => [command, '--resume', out, ...more];

  it('killed at any moment and resumed equals an uninterrupted run, bit for bit', async () => {
    expect((await call(begin(`${command}-whole`), folder.path)).code).toBe(0);
    const killed = `${command}-killed`;
    const moments = random(1, 'kill', command);
    let cut = 0;
    let args = begin(killed);
    for (let kills = 0; kills < 3; kills++) {
      const { child, says, end } = start([...args, ...everyIteration], folder.path);
      await says(' in ');
      await sleep(moments.integer(300));
      child.kill('SIGKILL');
      if ((await end).code === null) cut++;
      args = resume(killed);
    }
    expect((await call([...args, ...everyIteration], folder.path)).code).toBe(0);
    expect(cut).toBeGreaterThan(0);
    expect(traceOf(at(killed))).toEqual(traceOf(at(`${command}-whole`)));
  });

  it('stops at Ctrl-C with a checkpoint and exit code 130, and goes on from there', async () => {
    const stopped = `${command}-stopped`;
    const { child, says, end } = start(begin(stopped), folder.path);
    await says('%');
    child.kill('SIGINT');
    const { code, stderr } = await end;
    expect(code).toBe(130);
    expect(stderr).toContain(`heed ${command} --resume ${stopped}`);
    const [last] = readdirSync(at(stopped, 'checkpoints')).sort().reverse();
    expect(Number(last)).toBe(rowsOf(at(stopped)).at(-1)!.step);
    expect((await call(resume(stopped), folder.path)).code).toBe(0);
    expect(traceOf(at(stopped))).toEqual(traceOf(at(`${command}-whole`)));
  });

  it('stops at once at the second Ctrl-C, with the earlier checkpoints whole', async () => {
    const twice = `${command}-twice`;
    const { child, says, end } = start([...begin(twice), ...everyIteration], folder.path);
    await says('%');
    while (readdirSync(at(twice, 'checkpoints')).filter((name) => /^\d+$/.test(name)).length < 2) await sleep(5);
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect((await end).code).toBe(130);
    cpSync(at(twice), at(`${command}-corrupt`), { recursive: true });
    expect((await call(resume(twice), folder.path)).code).toBe(0);
    expect(traceOf(at(twice))).toEqual(traceOf(at(`${command}-whole`)));
  });

  it('passes over a corrupt checkpoint, and says so', async () => {
    const corrupt = `${command}-corrupt`;
    const [newest] = readdirSync(at(corrupt, 'checkpoints')).sort().reverse();
    appendFileSync(at(corrupt, 'checkpoints', newest, 'tensors.safetensors'), 'x');
    const { code, stderr } = await call(resume(corrupt), folder.path);
    expect(code).toBe(0);
    expect(stderr).toContain(newest);
    expect(stderr).toContain('damaged');
    expect(traceOf(at(corrupt))).toEqual(traceOf(at(`${command}-whole`)));
  });

  it('refuses a checkpoint of something else', async () => {
    const foreign = `${command}-foreign`;
    expect((await call([command, ...other[command], '--out', foreign], folder.path)).code).toBe(0);
    renameSync(at(foreign, 'checkpoints'), at(foreign, 'own'));
    mkdirSync(at(foreign, 'checkpoints'));
    const [whole] = readdirSync(at(`${command}-killed`, 'checkpoints')).sort();
    renameSync(at(`${command}-killed`, 'checkpoints', whole), at(foreign, 'checkpoints', whole));
    const { code, stderr } = await call(resume(foreign), folder.path);
    expect(code).toBe(1);
    expect(stderr).toContain('does not fit');
    expect(stderr).not.toContain('bug in heed');
  });
});

it('a folder that is no run, or a damaged one, is refused with a clear message', async () => {
  mkdirSync(at('foreign'));
  writeFileSync(at('foreign', 'config.json'), '{"name":"something else"}');
  expect(await call(['rl', '--resume', 'foreign'], folder.path)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('not a run'),
  });
  const text = readFileSync(at('rl-whole', 'config.json'), 'utf8').replace(/"horizon": \d+/, '"horizon": -1');
  mkdirSync(at('edited'));
  writeFileSync(at('edited', 'config.json'), text);
  const { code, stderr } = await call(['rl', '--resume', 'edited'], folder.path);
  expect(code).toBe(1);
  expect(stderr).toContain('horizon');
});

it('stops at a loss that is not finite, says in which batch, and keeps the last good checkpoint', async () => {
  const { code, stderr } = await call(
    ['rl', '--out', 'nan', '--steps', '2000', '--ppo.learningRate', '1e38', ...everyIteration],
    folder.path,
  );
  expect(code).toBe(1);
  expect(stderr).toMatch(/batch after step \d+: .*not finite|batch after step \d+: the loss is NaN/);
  expect(stderr).toContain('last good checkpoint');
  expect(stderr).toMatch(/heed rl --resume \S*nan continues/);
  expect(readdirSync(at('nan', 'checkpoints'))).toContain('0000000000');
});

it('loses nothing to a full disk', async (context) => {
  mkdirSync(at('disk'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=220k', 'tmpfs', at('disk')], { stdio: 'ignore' });
  } catch {
    return context.skip('mounting a small disk needs root');
  }
  try {
    const run = join('disk', 'run');
    const full = await call(['rl', ...small.rl, '--out', run, ...everyIteration], folder.path);
    expect(full.code).toBe(1);
    expect(full.stderr).toContain('disk is full');
    execFileSync('mount', ['-o', 'remount,size=20m', at('disk')]);
    expect((await call(['rl', '--resume', run], folder.path)).code).toBe(0);
    expect(traceOf(at('disk', 'run'))).toEqual(traceOf(at('rl-whole')));
  } finally {
    execFileSync('umount', [at('disk')]);
  }
});
