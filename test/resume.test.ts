import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { random } from '../src/random.ts';
import { call, interrupt, killAt, ownFolder, rowsOf, start, traceOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);

const llama = smallModel();
const commands = ['rl', 'train', 'sft', 'pretrain', 'ppo'] as const;
const small: Record<(typeof commands)[number], string[]> = {
  rl: ['--steps', '8000', '--evaluations', '4', '--episodes', '3', '--ppo.epochs', '4', '--ppo.normalize-observations'],
  train: [
    ...['--steps', '8000', '--random-steps', '600', '--labels', '12', '--evaluations', '4', '--episodes', '3'],
    ...['--ppo.epochs', '4', '--reward.first-steps', '20', '--reward.steps', '10', '--teacher', 'mistake:0.2'],
    ...['--config', 'bootstrap.json', '--query', 'random'],
  ],
  sft: [
    ...['--model', llama, '--data', 'texts.jsonl', '--rows', '4', '--steps', '40', '--evaluations', '4'],
    ...['--samples.max-tokens', '4'],
  ],
  pretrain: [
    ...['--hidden', '32', '--layers', '1', '--feed-forward', '64', '--rows', '4', '--tokens', '15000'],
    ...['--held-out', '8', '--evaluations', '4', '--samples.max-tokens', '2'],
  ],
  ppo: [
    ...['--model', llama, '--data', 'prompts.jsonl', '--reward', 'reward.mjs', '--steps', '20', '--evaluations', '4'],
    ...['--batch', '4', '--max-tokens', '4', '--ppo.minibatch', '2', '--score.normalize', 'running'],
  ],
};
/** Such as make a model that the others' checkpoints do not fit. */
const other: Record<(typeof commands)[number], string[]> = {
  rl: ['--ppo.hidden', '8', '--steps', '500'],
  train: ['--ppo.hidden', '8', '--steps', '500', '--random-steps', '100', '--schedule.rounds', '1', '--labels', '1'],
  sft: ['--model', llama, '--data', 'others.jsonl', '--steps', '1'],
  pretrain: ['--hidden', '16', '--layers', '1', '--tokens', '1000', '--held-out', '8', '--samples.max-tokens', '2'],
  ppo: [
    ...['--model', llama, '--data', 'prompts.jsonl', '--reward', 'reward.mjs', '--steps', '1', '--evaluations', '1'],
    ...['--batch', '4', '--max-tokens', '4', '--ppo.minibatch', '2', '--lora.rank', '1'],
  ],
};
const everyIteration = ['--checkpoint-seconds', '0'];

beforeAll(() => {
  const rows = Array.from({ length: 60 }, (_, i) => `${JSON.stringify({ text: `the number ${i} is ${i % 3}` })}\n`);
  writeFileSync(at('bootstrap.json'), JSON.stringify({ reward: { bootstrap: true } }));
  writeFileSync(at('texts.jsonl'), rows.join(''));
  writeFileSync(at('others.jsonl'), rows.slice(7).join(''));
  writeFileSync(at('prompts.jsonl'), ['red', 'a blue', 'sun'].map((prompt) => JSON.stringify({ prompt })).join('\n'));
  writeFileSync(at('reward.mjs'), 'export default (answers) => answers.map(({ response }) => response[0] / 256);\n');
});

const begin = (command: string, out: string) => [command, ...small[command as keyof typeof small], '--out', out];
const resume = (command: string, out: string, ...more: string[]) => [command, '--resume', out, ...more];

describe.each(commands)('heed %s', (command) => {
  it('stops at Ctrl-C with a checkpoint and exit code 130, and equals an uninterrupted run once it is resumed', async () => {
    expect((await call(begin(command, `${command}-whole`), folder.path)).code).toBe(0);
    const stopped = `${command}-stopped`;
    const { code, stderr } = await interrupt(/ [1-9][\d,]*\/\d/, begin(command, stopped), folder.path); // after a step
    expect(code).toBe(130);
    expect(stderr).toContain(`heed ${command} --resume ${stopped}`);
    const [last] = readdirSync(at(stopped, 'checkpoints')).sort().reverse();
    expect(Number(last)).toBe(rowsOf(at(stopped)).at(-1)!.step);
    expect(Number(last)).toBeLessThan(rowsOf(at(`${command}-whole`)).at(-1)!.step);
    cpSync(at(stopped, 'checkpoints'), at(`${command}-checkpoints`), { recursive: true });
    expect((await call(resume(command, stopped), folder.path)).code).toBe(0);
    expect(traceOf(at(stopped))).toEqual(traceOf(at(`${command}-whole`)));
  });

  it('refuses a checkpoint of something else', async () => {
    const foreign = `${command}-foreign`;
    expect((await call([command, ...other[command], '--out', foreign], folder.path)).code).toBe(0);
    renameSync(at(foreign, 'checkpoints'), at(foreign, 'moved'));
    renameSync(at(`${command}-checkpoints`), at(foreign, 'checkpoints'));
    const { code, stderr } = await call(resume(command, foreign), folder.path);
    expect(code).toBe(1);
    expect(stderr).toContain('does not fit');
    expect(stderr).not.toContain('bug in heed');
  });
});

// what a run leaves on the disk is written by one mechanism: an agent and a language model stand for the others
describe.each([
  ['rl', 30],
  ['ppo', 150], // writes its tensors one by one
])('a process of heed %s', (command, changes) => {
  it('killed at any moment and resumed equals an uninterrupted run, bit for bit', async () => {
    const killed = `${command}-killed`;
    const moments = random(1, 'kill', command);
    let args = begin(command, killed);
    for (let kills = 0; kills < 3; kills++) {
      await killAt(changes + moments.integer(changes), [...args, ...everyIteration], folder.path);
      args = resume(command, killed);
    }
    cpSync(at(killed), at(`${command}-corrupt`), { recursive: true });
    expect((await call([...args, ...everyIteration], folder.path)).code).toBe(0);
    expect(traceOf(at(killed))).toEqual(traceOf(at(`${command}-whole`)));
  });

  it('passes over a corrupt checkpoint, and says so', async () => {
    const corrupt = `${command}-corrupt`;
    const whole = readdirSync(at(corrupt, 'checkpoints')).filter((name) => /^\d+$/.test(name));
    expect(whole.length).toBeGreaterThan(1);
    const newest = whole.sort().at(-1)!;
    appendFileSync(at(corrupt, 'checkpoints', newest, 'tensors.safetensors'), 'x');
    const { code, stderr } = await call(resume(command, corrupt), folder.path);
    expect(code).toBe(0);
    expect(stderr).toContain(newest);
    expect(stderr).toContain('damaged');
    expect(traceOf(at(corrupt))).toEqual(traceOf(at(`${command}-whole`)));
  });
});

it('stops at once at the second Ctrl-C, with the earlier checkpoints whole', async () => {
  const { child, says, end } = start([...begin('rl', 'twice'), ...everyIteration], folder.path);
  await says('%');
  child.kill('SIGINT');
  await says('Stopping');
  child.kill('SIGINT');
  await end;
  expect(child.signalCode).toBe('SIGINT');
  expect((await call(resume('rl', 'twice'), folder.path)).code).toBe(0);
  expect(traceOf(at('twice'))).toEqual(traceOf(at('rl-whole')));
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
    ['rl', '--out', 'nan', '--steps', '2000', '--ppo.learning-rate', '1e38', ...everyIteration],
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
    return context.skip('root');
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
