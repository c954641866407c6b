/** Online DPO as a command, with a judge behind an endpoint. What it shares with other policies is tested in policies.test.ts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Critic, startCritic } from './support/critic.ts';
import { call, ownFolder, rowsOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);

let critic: Critic;
let args: string[];
beforeAll(async () => {
  critic = await startCritic('e');
  const prompts = Array.from({ length: 8 }, (_, i) => `${JSON.stringify({ prompt: `the number ${i} is` })}\n`);
  writeFileSync(at('prompts.jsonl'), prompts.join(''));
  args = ['online-dpo', '--model', smallModel(), '--judge', critic.url, '--judge-call.retries', '0'];
  args.push('--data', 'prompts.jsonl', '--evaluation.data', 'prompts.jsonl', '--max-tokens', '12', '--batch', '4');
  args.push('--steps', '2', '--evaluations', '1', '--checkpoint-seconds', '0');
});
afterAll(() => critic.close());

it('learns from what a judge says, and tells the win rate over the reference', async () => {
  const { code, stdout, stderr } = await call([...args, '--out', 'run', '--json'], folder.path);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { reward, steps } = lastLine(stdout);
  expect(steps).toBe(2);
  for (const rate of Object.values<number>(reward)) expect(rate * 16).toBe(Math.round(rate * 16));
  expect(rowsOf(at('run')).at(-1)).toMatchObject({ 'reward/mean': 0.5, 'reward/margin': 1 });
  expect(readFileSync(at('run', 'report.html'), 'utf8')).toContain('Completions before and after');
  expect((await call(['report', 'run'], folder.path)).code).toBe(0);
});

it('goes on, as if nothing had been, where the judge fell silent', async () => {
  critic.failAfter(20); // of 16 for the evaluation, and 8 for each step
  const { code, stderr } = await call([...args, '--out', 'broken'], folder.path);
  expect(code).toBe(1);
  expect(stderr).toMatch(/answered 500/);
  critic.failAfter();
  expect((await call(['online-dpo', '--resume', 'broken'], folder.path)).code).toBe(0);
  expect(rowsOf(at('broken'))).toEqual(rowsOf(at('run')));
});
