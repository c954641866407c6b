import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { expect, it } from 'vitest';
import { call, ownFolder, start } from './support/heed.ts';

const tiny = fileURLToPath(new URL('fixtures/models/tiny-llama', import.meta.url));
const folder = ownFolder();

it('serves a model to those who have a key, until SIGTERM', async () => {
  const keys = (...args: string[]) => call(['serve', 'keys', ...args, '--json'], folder.path);
  const added = await keys('add', 'ada', '--scopes', 'chat,train', '--tokens-per-day', '500');
  const { secret, scopes } = JSON.parse(added.stdout);
  expect(scopes).toEqual(['chat', 'train']);
  expect(JSON.parse((await keys('list')).stdout).keys).toMatchObject([{ name: 'ada', tokensPerDay: 500 }]);
  expect(await keys('add', 'ben', '--scopes', 'fly')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--scopes'),
  });
  const server = start(['serve', '--model', `tiny=${tiny}`, '--port', '0', '--drain', '5', '--json'], folder.path);
  const [line] = await once(server.child.stdout!, 'data');
  const { url } = JSON.parse(String(line));
  const client = new OpenAI({ baseURL: url, apiKey: secret, maxRetries: 0 });
  const request = { model: 'tiny', messages: [{ role: 'user' as const, content: 'Hi' }], max_completion_tokens: 8 };
  expect((await client.chat.completions.create(request)).usage!.completion_tokens).toBeLessThanOrEqual(8);
  await expect(new OpenAI({ baseURL: url, apiKey: 'wrong', maxRetries: 0 }).models.list()).rejects.toMatchObject({
    status: 401,
  });
  server.child.kill('SIGTERM');
  const { code, stderr } = await server.end;
  expect(code).toBe(0);
  expect(stderr).not.toContain('Hi');
});
