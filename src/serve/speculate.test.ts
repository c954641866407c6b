import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { heedError } from '../../test/support/gradients.ts';
import { completeChat } from './completions/chat.ts';
import { type ServeInput, serve } from './serve.ts';

const tiny = fileURLToPath(new URL('../../test/fixtures/models/tiny-llama', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'heed-speculate-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const caller = { key: undefined, scopes: new Set<never>(), user: undefined };

/** What a server writes, and its notices. */
async function written(model: string, options: ServeInput): Promise<{ text: string; notices: string[] }> {
  const notices: string[] = [];
  const onNotice = (text: string) => void notices.push(text);
  const server = await serve({ models: { tiny, reviews: 'reviews-base' }, folder, port: 0, onNotice, ...options });
  const messages = [{ role: 'user', content: 'Hello' }];
  const request = { model, messages, temperature: 0, max_completion_tokens: 12, store: false };
  const { choices } = await completeChat(server.context, request, caller);
  await server.close();
  return { text: choices[0].text, notices };
}

it('guesses tokens without a change to the text, for models with the tokenizer of the draft model', async () => {
  const plain = await written('tiny', {});
  for (const options of [{ draft: tiny }, { lookup: 2 }]) {
    expect(await written('tiny', options)).toEqual(plain);
  }
  const { text, notices } = await written('reviews', { draft: tiny });
  expect(text).not.toBe('');
  expect(notices.join()).toContain('No tokens of "reviews" are guessed. The draft model has a different tokenizer');
  await expect(serve({ models: { tiny }, folder, draft: tiny, lookup: 2, port: 0 })).rejects.toThrow(
    heedError(/draft and lookup/, /Leave one out/),
  );
});
