import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../lm/model.ts';
import type { Answer, Reward } from '../rewards/source.ts';
import { guard, guardsSchema, repetition, sameness } from './guards.ts';
import { createPpo } from './ppo-learner.ts';
import type { PpoInput } from './ppo-options.ts';

const llama = fileURLToPath(new URL('../../../test/fixtures/models/tiny-llama', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'heed-guards-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, 'prompts.jsonl');
writeFileSync(data, '{"prompt": "red"}\n{"prompt": "a blue sun"}\n');
const answer = (response: number[]): Answer => ({ prompt: [], response, ended: true, promptText: '', text: '' });

it('sees what an answer says again', () => {
  expect(repetition([1, 2, 3, 4], 1)).toBe(0);
  expect(repetition([1, 1, 1, 1], 1)).toBe(0.75);
  expect(repetition([1, 2, 1, 2, 1], 2)).toBe(0.5);
  expect(repetition([1], 2)).toBe(0);
});

it('sees what answers have in common', () => {
  expect(sameness([{ response: [1, 2] }, { response: [1, 3] }, { response: [4, 5] }], 1)).toEqual([0.25, 0.25, 0]);
  expect(sameness([{ response: [1, 2] }, { response: [1, 2] }], 2)).toEqual([1, 1]);
  expect(sameness([{ response: [1, 2] }], 2)).toEqual([0]);
});

it('takes nothing unless told, and tells what it sees', () => {
  const answers = [answer([1, 1, 1, 1]), answer([1, 2])];
  const { penalties, metrics } = guard(answers, guardsSchema.parse({ ngram: 1 }), 2);
  expect([...penalties]).toEqual([0, 0]);
  expect(metrics).toEqual({ 'guard/length': 0.5, 'guard/repetition': 0.375, 'guard/sameness': 0.75 });
  const weights = guardsSchema.parse({ ngram: 1, length: 1, repetition: 10, sameness: 100 });
  expect([...guard(answers, weights, 2).penalties]).toEqual([1 + 7.5 + 100, 50]);
});

describe('a policy that gets its reward by', () => {
  /** Metrics after some steps of exploiting a reward, with a guard of that weight. */
  async function exploit(score: (answer: Answer) => number, guards: PpoInput['guards'], ends?: number[]) {
    const reward: Reward = { name: 'exploited', score: async (answers) => answers.map(score), release() {} };
    const model = await loadModel(llama);
    const learner = await createPpo(
      {
        model: llama,
        data,
        evaluation: { data },
        steps: 8,
        batch: 32,
        maxTokens: 12,
        learningRate: 1e-2,
        kl: { beta: 0 },
        score: { missingEos: 0 },
        ppo: { minibatch: 16 },
        guards: { ngram: 1, ...guards },
      },
      { reward, model: ends ? { ...model, ends } : model },
    );
    let metrics: Record<string, number> = {};
    for (let step = 0; step < 8; step++) ({ metrics } = await learner.next());
    learner.release();
    return metrics;
  }
  const unguarded = new Map<(answer: Answer) => number, Record<string, number>>();
  const few = Array.from({ length: 64 }, (_, id) => id);
  const common = ({ response }: Answer) => response.filter((id) => id < 64).length;

  it.each<[string, string, 'length' | 'repetition' | 'sameness', (answer: Answer) => number, number[]?]>([
    // with so many tokens that end an answer, it is short until the policy learns to leave them out
    ['its length', 'guard/length', 'length', ({ response }) => response.length, few],
    ['saying the same again', 'guard/repetition', 'repetition', common],
    ['saying what the others say', 'guard/sameness', 'sameness', common],
  ])('%s does so less when guarded', async (_, metric, name, score, ends) => {
    const free = unguarded.get(score) ?? (await exploit(score, {}, ends));
    unguarded.set(score, free);
    const guarded = await exploit(score, { [name]: 20 }, ends);
    expect(free[metric]).toBeGreaterThan(0.05);
    expect(guarded[metric]).toBeLessThan(0.75 * free[metric]);
    expect(guarded['reward/mean']).toBeLessThan(free['reward/mean']);
  });
});
