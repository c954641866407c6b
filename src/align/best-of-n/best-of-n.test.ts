import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { smallModel } from '../../../test/support/training.ts';
import { createRun } from '../../run/index.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { type BestOfNStep, bestOf, createBestOfN, type Drawn } from './best-of-n.ts';
import { bestOfNReport, trainBestOfN } from './train.ts';

const llama = smallModel();
const folder = mkdtempSync(join(tmpdir(), 'heed-best-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const data = join(folder, 'prompts.jsonl');
writeFileSync(data, ['a', 'b', 'cat', 'dog', 'sun'].map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''));
const lengths: Reward = {
  name: 'length',
  score: async (completions) => completions.map(({ text }) => text.length),
};
const shortness: Reward = {
  name: 'shortness',
  score: async (completions) => completions.map(({ text }) => -text.length),
};
const settings = { model: llama, data, completions: 4, batch: 2, maxTokens: 6 };
const learner = (input = {}) => createBestOfN({ ...settings, ...input, reward: lengths, gold: shortness });

const drawn = (rewards: number[], gold?: number[]): Drawn => ({ prompt: '', rewards, gold, best: '', first: '' });

it('estimates the best of any number of completions as the mean over all draws', () => {
  const rewards = [3, 1, 4, 1.5, 9];
  const gold = [1, 2, 0, 5, -1];
  const subsets = Array.from({ length: 32 }, (_, bits) => [0, 1, 2, 3, 4].filter((i) => (bits >> i) & 1));
  const curve = bestOf([drawn(rewards, gold), drawn([0, 0, 0, 0, 0], [2, 2, 2, 2, 2])]);
  expect(curve.map(({ n }) => n)).toEqual([1, 2, 4, 5]);
  for (const { n, kl, reward, gold: second } of curve) {
    const of = subsets.filter(({ length }) => length === n);
    const best = of.map((some) => some.reduce((a, b) => (rewards[b] > rewards[a] ? b : a)));
    const mean = (values: number[]) => best.reduce((sum, i) => sum + values[i], 0) / best.length;
    expect(reward).toBeCloseTo(mean(rewards) / 2, 12);
    expect(second).toBeCloseTo((mean(gold) + 2) / 2, 12);
    expect(kl).toBeCloseTo(Math.log(n) - (n - 1) / n, 12);
  }
});

it('draws, keeps the best, writes it as data, and resumes from any step', async () => {
  const run = createRun(join(folder, 'run'), { name: 'best', command: 'best-of-n', config: settings, seed: 0 });
  const whole = await learner();
  expect(whole.steps).toBe(3);
  const steps: BestOfNStep[] = [];
  const result = (await trainBestOfN(whole, { run, onStep: (step) => steps.push(step) }))!;
  expect(result).toMatchObject({ run: run.folder, model: llama, data: join(run.folder, 'best.jsonl'), steps: 3 });
  expect(result.reward.after).toBeGreaterThan(result.reward.before);
  expect(result.gold!.after).toBe(-result.reward.after);
  const rows = readFileSync(result.data, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(rows.map(({ prompt }) => prompt)).toEqual(['a', 'b', 'cat', 'dog', 'sun']);
  for (const { completion, reward } of rows) expect(completion.length).toBe(reward);
  const report = bestOfNReport(run.folder);
  expect(report.summary[0]).toMatchObject({ label: 'Best of 4' });
  expect(report.sections.map(({ title }) => title)).toEqual([
    'Reward of the best',
    'In numbers',
    'The first completion and the best',
  ]);
  const again = await learner();
  await trainBestOfN(again, { run });
  expect(readFileSync(result.data, 'utf8').trim().split('\n')).toHaveLength(5);
  run.close();

  const [half, resumed] = [await learner(), await learner()];
  await half.next();
  resumed.restore(structuredClone(half.save()));
  expect(await resumed.next()).toEqual(steps[1]);
  const other = await learner({ prompts: 3 });
  expect(() => other.restore(half.save())).toThrow(/prompts are not those/);
  for (const one of [whole, again, half, resumed, other]) one[Symbol.dispose]();
});

it('gives a reward its timeout, and stops waiting when the signal aborts', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const waiting = (timeout: number, asked = () => {}) =>
    createBestOfN({ ...settings, reward: () => new Promise<never>(() => asked()), rewardCall: { timeout } });
  const [late, patient] = [await waiting(0.05), await waiting(3600, () => controller.abort(reason))];
  await expect(late.next()).rejects.toThrow(/took more than 0.05 s/);
  await expect(patient.next(controller.signal)).rejects.toBe(reason);
  for (const one of [late, patient]) one[Symbol.dispose]();
});

it.each<[string, object, RegExp]>([
  ['a model that is not there', { model: join(folder, 'none') }, /There is no folder/],
  ['prompts that are not there', { data: join(folder, 'none.jsonl') }, /none\.jsonl/],
  ['completions that do not fit', { maxTokens: 5000 }, /exceeds the \d+ positions/],
])('says what is wrong with %s', async (_, input, message) => {
  await expect(learner(input)).rejects.toThrow(message);
});
