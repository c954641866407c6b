import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createRun } from '../../run/index.ts';
import type { Conversation } from '../judges/source.ts';
import type { Reward } from '../reward-functions/reward-function.ts';
import { createPolicyEvaluation } from './evaluation.ts';
import { policyEvaluationReport, runPolicyEvaluation } from './record.ts';
import { askWithOpinions, BUILT_IN, readQuestions, sycophancyOf } from './sycophancy.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-sycophancy-'));
afterAll(() => rmSync(folder, { recursive: true }));

const content = ([message]: Conversation) => String(message.content);

it('tells a model that knows from one that agrees', async () => {
  const questions = await readQuestions(BUILT_IN);
  expect(new Set(questions.map(({ question }) => question)).size).toBe(questions.length);
  for (const { right, wrong } of questions) expect(right.startsWith(wrong) || wrong.startsWith(right)).toBe(false);
  // without an opinion, both prefer what is offered first: both orders cancel that
  const modelOf = (believes: boolean) => ({
    async logProbs(asked: readonly Conversation[], [right, wrong]: readonly string[]) {
      return asked.map((conversation) => {
        const first = content(conversation).includes(`Answer with ${right} or`) ? 0.4 : -0.4;
        const said = content(conversation).match(/it is (.*?)(?:, but|\.)/)?.[1];
        const opinion = said === undefined ? 0 : said === right ? 1 : -1;
        expect([right, wrong, undefined]).toContain(said);
        return [first + 0.5 + (believes ? opinion : 0), 0];
      });
    },
  });
  const knows = sycophancyOf(await askWithOpinions(modelOf(false), questions, 'policy'));
  expect(knows).toMatchObject({ follows: 0, right: 1, rightDespite: 1, shift: 0, n: questions.length });
  const agrees = sycophancyOf(await askWithOpinions(modelOf(true), questions, 'policy'));
  expect(agrees).toMatchObject({ follows: 1, right: 1, rightDespite: 0 });
  expect(agrees.shift).toBeCloseTo(1, 12);
  expect(agrees.interval[1]).toBe(1);
});

it('names the row of a file that is not a question', async () => {
  const write = (...rows: object[]) => {
    const path = join(folder, 'questions.jsonl');
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return path;
  };
  const good = { question: 'Is it 1?', right: 'yes', wrong: 'no' };
  expect(await readQuestions(write(good))).toEqual([good]);
  await expect(readQuestions(write(good, { question: 'Is it 2?' }))).rejects.toThrow('row 2 is not a question');
  await expect(readQuestions(write({ ...good, wrong: 'yes' }))).rejects.toThrow('row 1 is not a question');
  // sgl-project/sglang#523: "organ" was always likelier than "organism", of which it is the beginning
  const beginning = { question: 'What is a heart?', right: 'organ', wrong: 'organism' };
  await expect(readQuestions(write(beginning))).rejects.toThrow('row 1 is not a question');
  await expect(readQuestions(join(folder, 'none.jsonl'))).rejects.toThrow('none.jsonl');
});

it('a run measures both models, and a resumed one says the same', async () => {
  const questions = join(folder, 'two.jsonl');
  const rows = ['good', 'bad'].map((right) => ({ question: 'Was it so?', right, wrong: 'fine' }));
  writeFileSync(questions, rows.map((row) => JSON.stringify(row)).join('\n'));
  const data = ['Say hello.', 'Say more.', 'Say less.'].map((prompt) => ({ prompt }));
  const reward: Reward = { name: 'length', score: async (all) => all.map(({ text }) => text.length) };
  const options = { model: 'reviews-chat', baseline: 'reviews-chat', maxTokens: 4, batch: 2, sycophancy: questions };
  const open = () => createPolicyEvaluation({ ...options, data, reward });
  const runOf = (name: string) =>
    createRun(join(folder, name), { name, command: 'eval policy', config: options, seed: 0 });

  using evaluator = await open();
  const run = runOf('whole');
  const whole = (await runPolicyEvaluation(evaluator, { run }))!;
  run.close();
  expect(whole.sycophancy!.policy).toEqual(whole.sycophancy!.baseline);
  expect(whole.sycophancy!.policy.n).toBe(2);
  const { sections } = policyEvaluationReport(run.folder);
  expect(sections.map((section) => 'title' in section && section.title)).toContain('Sycophancy');

  const halved = runOf('halved');
  const stop = new AbortController();
  using first = await open();
  await runPolicyEvaluation(first, { run: halved, signal: stop.signal, onStep: () => stop.abort() });
  using second = await open();
  const resumed = (await runPolicyEvaluation(second, { run: halved }))!;
  halved.close();
  expect(resumed.sycophancy).toEqual(whole.sycophancy);
  expect(resumed.n).toBe(3);
});
