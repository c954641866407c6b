import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Server, serve } from '../serve.ts';

const tiny = fileURLToPath(new URL('../../../test/fixtures/models/tiny-llama', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'heed-adapters-'));
/** What the provider was asked to load. */
const asked: { lora_name: string; lora_path: string }[] = [];
const loaded = new Set<string>();
/** Requests that came to where the provider redirected to. */
let elsewhere = 0;
let completions = 0;
const notices: string[] = [];
let provider: HttpServer;
let server: Server;
let client: OpenAI;

beforeAll(async () => {
  for (const run of ['good', 'large', 'moved']) {
    cpSync(tiny, join(folder, run, 'model'), { recursive: true });
    mkdirSync(join(folder, run, 'adapter'));
    writeFileSync(join(folder, run, 'adapter', 'adapter_config.json'), '{}');
  }
  // speaks vLLM's calls: it loads what it is told to, once, and no adapter of a rank above its own
  provider = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const json = JSON.parse(body);
    const answer = (status: number, value: object | string) => {
      response.writeHead(status, { 'content-type': typeof value === 'string' ? 'text/plain' : 'application/json' });
      response.end(typeof value === 'string' ? value : JSON.stringify(value));
    };
    const refuse = (status: number, message: string) =>
      answer(status, { error: { message, type: 'BadRequestError', param: null, code: status } });
    if (request.url === '/elsewhere') elsewhere++;
    if (request.url === '/v1/load_lora_adapter') {
      asked.push(json);
      if (json.lora_name === 'moved') {
        response.writeHead(307, { location: '/elsewhere' });
        return response.end();
      }
      if (json.lora_name === 'large') return refuse(400, 'LoRA rank 64 is greater than max_lora_rank 16.');
      if (loaded.has(json.lora_name))
        return refuse(400, `The lora adapter '${json.lora_name}' has already been loaded.`);
      loaded.add(json.lora_name);
      return answer(200, `Success: LoRA adapter '${json.lora_name}' added successfully.`);
    }
    if (!loaded.has(json.model)) return refuse(404, `The model \`${json.model}\` does not exist.`);
    const message = { role: 'assistant', content: 'from the provider' };
    return answer(200, {
      id: `up-${++completions}`,
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: 'stop' }],
    });
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  const { port } = provider.address() as { port: number };
  server = await serve({
    folder: join(folder, 'serve'),
    port: 0,
    upstream: `http://127.0.0.1:${port}/v1`,
    upstreamAdapters: true,
    models: {
      tiny,
      good: join(folder, 'good', 'model'),
      large: join(folder, 'large', 'model'),
      moved: join(folder, 'moved', 'model'),
    },
    onNotice: (text) => notices.push(text),
  });
  client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await server?.close();
  provider?.close();
  rmSync(folder, { recursive: true, force: true });
});

const askedFor = (name: string) => asked.filter(({ lora_name }) => lora_name === name);
const contentOf = async (model: string) => {
  const messages = [{ role: 'user' as const, content: 'Hello' }];
  const { choices } = await client.chat.completions.create({ model, messages, max_completion_tokens: 2 });
  return choices[0].message.content;
};

it('loads an adapter before the first request, and again if the provider has lost it', async () => {
  expect([await contentOf('good'), await contentOf('good')]).toEqual(['from the provider', 'from the provider']);
  expect(askedFor('good')).toEqual([{ lora_name: 'good', lora_path: join(folder, 'good', 'adapter') }]);
  loaded.clear();
  await expect(contentOf('good')).rejects.toMatchObject({ status: 404 });
  expect(await contentOf('good')).toBe('from the provider');
});

it('serves here what has no adapter, or is refused', async () => {
  expect(await contentOf('tiny')).not.toBe('from the provider');
  expect(await contentOf('large')).not.toBe('from the provider');
  expect(notices).toContainEqual(expect.stringContaining('max_lora_rank'));
  await contentOf('large');
  expect(askedFor('large')).toHaveLength(1);
});

it('follows no redirect: the key is for the provider alone', async () => {
  expect(await contentOf('moved')).not.toBe('from the provider');
  expect(elsewhere).toBe(0);
});
