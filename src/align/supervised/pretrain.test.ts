import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { LanguageStep } from './learner.ts';
import { createPretrain, type PretrainInput, pretrain } from './pretrain.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-pretrain-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tiny: PretrainInput = {
  hidden: 32,
  layers: 1,
  heads: 2,
  feedForward: 64,
  rows: 4,
  tokens: 8000,
  heldOut: 20,
  evaluations: 1,
  samples: { count: 2, maxTokens: 8 },
};

it('learns the reviews, and reports their entropy beside the loss', async () => {
  const steps: LanguageStep[] = [];
  for await (const step of pretrain(tiny)) steps.push(step);
  expect(steps).toHaveLength(Math.ceil(8000 / (4 * 96)));
  expect(steps.at(-1)!.tokens / (steps.length * 4 * 96)).toBeGreaterThan(0.95); // rows are full
  const { loss, measures, samples } = steps.at(-1)!.evaluation!;
  expect(steps[0].loss).toBeCloseTo(Math.log(322), 0);
  expect(loss!).toBeLessThan(5.2);
  expect(measures['loss/entropy']).toBeCloseTo(1.03, 1);
  expect(measures).toHaveProperty('text/accepted');
  expect(samples).toHaveLength(2);
});

it('never learns a text twice, and resumes after any step with the next texts', async () => {
  const [whole, resumed] = await Promise.all([createPretrain(tiny), createPretrain(tiny)]);
  const losses: number[] = [];
  for (let i = 0; i < 6; i++) losses.push((await whole.next()).loss);
  expect(new Set(losses).size).toBe(6);
  for (let i = 0; i < 3; i++) await resumed.next();
  resumed.restore(structuredClone(resumed.save()));
  for (let i = 3; i < 6; i++) expect((await resumed.next()).loss).toBe(losses[i]);
  for (const learner of [whole, resumed]) learner[Symbol.dispose]();
});

it('learns from texts at hand, with a tokenizer that it learns too', async () => {
  const data = join(folder, 'texts.jsonl');
  const text = (i: number) => `number ${i} is ${i % 2 ? 'odd' : 'even'}, so ${'it '.repeat(i % 50)}is.`;
  writeFileSync(data, Array.from({ length: 200 }, (_, i) => `${JSON.stringify({ text: text(i) })}\n`).join(''));
  const learner = await createPretrain({ ...tiny, data, vocabulary: 300, tokens: undefined, length: 32 });
  const { tokenizer, config } = learner.model;
  expect([tokenizer.vocabularySize, config.vocabularySize]).toEqual([300, 300]);
  expect(tokenizer.decode(tokenizer.encode(text(7)))).toBe(text(7));
  expect(tokenizer.encode('a')[0]).toBe(tokenizer.bos);
  const before = (await learner.evaluate()).loss!;
  let last = await learner.next();
  while (!last.done) last = await learner.next();
  expect(last.evaluation!.loss!).toBeLessThan(before - 1);
  expect(last.tokens).toBeGreaterThan(3000); // each once: long texts are split, not cut
  learner[Symbol.dispose]();
});

it('refuses sizes that do not fit one another', () => {
  expect(() => createPretrain({ heads: 3 })).toThrow(/heads/);
  expect(() => createPretrain({ heads: 4, keyValueHeads: 3 })).toThrow(/divide --heads/);
  expect(() => createPretrain({ length: 256 })).toThrow(/--max-positions/);
});
