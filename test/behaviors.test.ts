/** Behaviors without a reward, by the command: a judge by its name, a judge in a file, people. Run from the compiled package. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { findProject, guidelinesOf, openDatabase } from '../src/feedback/index.ts';
import { call, killAt, ownFolder, rowsOf, start, traceOf } from './support/heed.ts';

const folder = ownFolder();
const at = (name: string) => join(folder.path, name);
const rocking = fileURLToPath(new URL('../examples/rocking.js', import.meta.url));
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const train = (...flags: string[]) => call(['train', '--env', 'CartPole-swing', ...flags], folder.path);
const small = [
  ...['--steps', '2048', '--random-steps', '600', '--labels', '12', '--schedule.rounds', '3', '--evaluations', '2'],
  ...['--episodes', '3', '--reward.first-steps', '20', '--reward.steps', '10', '--ppo.epochs', '2'],
];

beforeAll(() => {
  writeFileSync(
    at('still.mjs'),
    'export default ({ steps }) => -steps.reduce((sum, { next }) => sum + next[4] ** 2, 0);',
  );
  writeFileSync(at('blind.mjs'), 'export default () => Number.NaN;');
  writeFileSync(at('sighing.mjs'), "export default () => { throw new Error('all are bad'); };");
  writeFileSync(at('silent.mjs'), 'export const judge = () => 1;');
});

describe('heed train with a judge of clips', () => {
  it('teaches what the judge of the preset likes', { tags: 'proof' }, async () => {
    const few = ['--steps', '16000', '--labels', '120', '--evaluations', '1', '--episodes', '5'];
    const { code, stdout, stderr } = await train(...few, '--json', '--out', at('swing'));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const { labels, correlation } = lastLine(stdout);
    expect(labels).toBe(120);
    expect(correlation.pearson).toBeGreaterThan(0.6); // of the learned reward with what the judge says
    expect(readFileSync(at('swing/report.html'), 'utf8')).toMatch(/steps, judged −?[\d.]+ and/);
    expect(JSON.parse(readFileSync(at('swing/config.json'), 'utf8')).config.judge).toBe('swing');
  });

  it('takes a judge of one’s own, of whom a stopped run asks again when it goes on', async () => {
    const flags = [...small, '--judge', './still.mjs', '--teacher', 'mistake:0.1'];
    expect(await train(...flags, '--out', at('whole'))).toMatchObject({ code: 0 });
    const stopped = ['--out', at('stopped'), '--checkpoint-seconds', '0'];
    await killAt(60, ['train', '--env', 'CartPole-swing', ...flags, ...stopped], folder.path);
    expect(rowsOf(at('stopped')).length).toBeLessThan(rowsOf(at('whole')).length);
    expect(await call(['train', '--resume', at('stopped')], folder.path)).toMatchObject({ code: 0 });
    expect(traceOf(at('stopped'))).toEqual(traceOf(at('whole')));
  });

  it('runs the example', async () => {
    const { code, stdout, stderr } = await train(...small, '--judge', rocking, '--json', '--out', at('rocking'));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(lastLine(stdout)).toMatchObject({ labels: 12 });
  });

  it.each([
    ['nobody', 'unknown judge: expected one of swing, backflip, one-leg or a file, got "nobody"'],
    ['backflip', 'is for Hopper-backflip, but the environment is CartPole-swing'],
    ['./nowhere.mjs', 'there is no file "./nowhere.mjs" with a judge'],
    ['./silent.mjs', '"./silent.mjs": expected a function as default export, got undefined'],
    ['./blind.mjs', 'must return a finite number for a clip of 50 steps, got NaN'],
    ['./sighing.mjs', 'the judge failed at a clip of 50 steps: all are bad'],
  ])('refuses %s before it begins', async (judge, told) => {
    const { code, stderr } = await train('--judge', judge, '--out', at('never'));
    expect(code).toBe(2);
    expect(stderr).toContain(told);
    expect(() => readFileSync(at('never'))).toThrow('ENOENT');
  });
});

it('people are told what to look for', async () => {
  const training = start(
    ['train', '--env', 'CartPole-swing', ...small, '--teacher', 'human', '--out', at('people')],
    folder.path,
  );
  await training.says('#token=');
  const database = await openDatabase(at('people/feedback.db'));
  const { text } = await guidelinesOf(database, (await findProject(database, 'CartPole-swing')).id);
  await database.close();
  training.child.kill('SIGINT');
  expect((await training.end).code).toBe(130);
  expect(text).toContain('clockwise');
});
