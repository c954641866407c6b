/** heed overoptimization as a whole command. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { call, interrupt, killAt, ownFolder, rowsOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);

const judge = smallModel('tiny-llama-rm');
const small = [
  ...['overoptimization', '--model', smallModel(), '--data', 'prompts.jsonl'],
  ...['--reward', `${judge},${judge}`, '--gold', 'gold.js', '--evaluation.data', 'prompts.jsonl'],
  ...['--max-tokens', '6', '--batch', '8', '--ppo.minibatch', '4', '--learning-rate', '0.01', '--steps', '6'],
  ...['--evaluations', '3', '--best-of.completions', '8', '--best-of.prompts', '8', '--best-of.batch', '4'],
  ...['--guards', 'kl:1,pessimism'],
];

beforeAll(() => {
  const prompts = Array.from({ length: 8 }, (_, i) => `${JSON.stringify({ prompt: `the number ${i} is` })}\n`);
  writeFileSync(at('prompts.jsonl'), prompts.join(''));
  writeFileSync(at('gold.js'), 'export default (answers) => answers.map(({ text }) => new Set(text).size);\n');
});

it('goes every way, and leaves curves, their laws and a report', async () => {
  const { code, stdout, stderr } = await call([...small, '--out', 'whole', '--json'], folder.path);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { curves, run } = lastLine(stdout);
  expect(run).toBe('whole');
  const point = { at: expect.any(Number), kl: expect.any(Number), proxy: expect.any(Number), gold: expect.any(Number) };
  expect(curves.map(({ name, method }: { name: string; method: string }) => [name, method])).toEqual([
    ['best of n', 'best-of-n'],
    ['pessimism', 'best-of-n'],
    ['PPO', 'rl'],
    ['kl:1', 'rl'],
    ['pessimism', 'rl'],
  ]);
  for (const { method, points, peak, last, fits } of curves) {
    expect(points).toHaveLength(4);
    expect(points[0].kl).toBeCloseTo(0, 3);
    expect(peak).toEqual(point);
    expect(last).toEqual(points.at(-1));
    expect(peak.gold).toBe(Math.max(...points.map(({ gold }: { gold: number }) => gold)));
    expect(fits.proxy, method).toMatchObject({ alpha: expect.any(Number), beta: expect.any(Number) });
  }
  const [, , free, held] = curves;
  expect(held.last.kl).toBeLessThan(free.last.kl);
  const report = readFileSync(at('whole', 'report.html'), 'utf8');
  for (const title of ['Best of n: proxy and gold', 'PPO: proxy and gold', 'Where gold turns']) {
    expect(report).toContain(title);
  }
  for (const again of ['whole', 'whole/ppo', 'whole/best-of-n']) {
    expect((await call(['report', again], folder.path)).code).toBe(0);
  }
});

it('stopped or killed at any moment and gone on with, equals an uninterrupted run', async () => {
  const everyIteration = ['--checkpoint-seconds', '0'];
  const resume = ['overoptimization', '--resume', 'cut', ...everyIteration];
  expect((await interrupt(' in ', [...small, '--out', 'cut', ...everyIteration], folder.path)).code).toBe(130);
  for (const change of [60, 150]) await killAt(change, resume, folder.path);
  expect((await call(resume, folder.path)).code).toBe(0);
  for (const inner of ['', 'best-of-n', 'ppo', 'ppo-kl-1', 'ppo-pessimism']) {
    expect(rowsOf(at('cut', inner))).toEqual(rowsOf(at('whole', inner)));
  }
});

it.each<[string, string[], RegExp]>([
  ['a guard that there is not', ['--guards', 'luck:1'], /--guards: expected kl, target.*got "luck:1"/],
  ['pessimism without an ensemble', ['--reward', judge], /The guard "pessimism" needs an ensemble/],
  ['a proxy that is not there', ['--reward', 'none.js', '--guards', 'kl'], /none\.js/],
])('says what is wrong with %s, before anything is computed', async (_, args, message) => {
  const { code, stderr } = await call([...small, ...args, '--out', 'bad'], folder.path);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(message);
  expect(existsSync(at('bad'))).toBe(false);
});
