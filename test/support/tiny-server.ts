/** A server of a tiny model, for tests of its routes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { expect } from 'vitest';
import { loadModel } from '../../src/lm/model.ts';
import { type ServeInput, serve } from '../../src/serve/serve.ts';

/** The folder of the model. */
export const tinyModel = fileURLToPath(new URL('../fixtures/models/tiny-llama', import.meta.url));

/** Starts a server of the model as `tiny`, and as `tools` of a copy whose template has tools; with a client of it. */
export async function startTinyServer(tools: string, options: Pick<ServeInput, 'maxTokens' | 'now'> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'heed-serve-'));
  const own = await loadModel(tinyModel);
  const template = `{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}${own.tokenizer.chatTemplate}`;
  const tokenizer = { ...own.tokenizer, chatTemplate: template, chatTemplates: { default: template } };
  const models = { tiny: tinyModel, [tools]: { ...own, tokenizer } };
  const server = await serve({ models, folder, port: 0, ...options });
  const client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
  return {
    server,
    client,
    /** The model that the caller passed. */
    own,
    async close() {
      await server.close();
      expect(await own.generate('Hello', { maxTokens: 2 })).toBeTypeOf('string'); // it stayed the caller's
      own[Symbol.dispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
