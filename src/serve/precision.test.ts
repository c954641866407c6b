import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { PrecisionChoice } from '../engine/precision.ts';
import { runtime } from '../engine/runtime/current.ts';
import { embeddedModel } from '../lm/embedded.ts';
import { loadModel } from '../lm/model.ts';
import { serve } from './serve.ts';

const support = runtime().bf16!();
const folder = mkdtempSync(join(tmpdir(), 'heed-precision-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.skipIf(!support.works)(
  'computes in bf16, except with a model of the caller (needs bfloat16 on the CPU)',
  async () => {
    using loaded = await loadModel(embeddedModel);
    /** log p of the likeliest first tokens of two prompts that come together. */
    const first = async (name: string, precision: PrecisionChoice): Promise<number[]> => {
      const models = { own: embeddedModel, callers: loaded };
      const server = await serve({ models, folder, port: 0, precision });
      using model = await server.context.shelf.open(name);
      const prompts = ['A good restaurant', 'The worst of'].map((text) => loaded.tokenizer.encode(text));
      const tokens = await Promise.all(
        prompts.map((ids) => model.queue.submit(ids, { temperature: 0, maxTokens: 1 }).next()),
      );
      await server.close();
      return tokens.map(({ value }) => value!.logprob);
    };
    const exact = await first('own', 'fp32');
    const distance = async (...how: Parameters<typeof first>) =>
      Math.max(...(await first(...how)).map((logProb, i) => Math.abs(logProb - exact[i])));
    expect(await distance('callers', 'bf16')).toBeLessThan(1e-4);
    expect(await distance('own', 'auto')).toBe(0); // the model is narrow
    const rounding = await distance('own', 'bf16');
    expect(rounding).toBeGreaterThan(1e-4);
    expect(rounding).toBeLessThan(0.1);
  },
);

it.skipIf(support.works)('says before the first request that the machine lacks bf16', async () => {
  await expect(serve({ model: embeddedModel, folder, port: 0, precision: 'bf16' })).rejects.toThrow('precision bf16');
});
