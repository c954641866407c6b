import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { operationsOf, schemaOf } from '../http/operations.ts';
import { type Server, serve } from './serve.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-serve-'));
let server: Server;
type Document = { paths: Record<string, Record<string, { security: object[]; requestBody?: object }>> };
let document: Document;
beforeAll(async () => {
  server = await serve({ folder, port: 0, model: 'reviews-base', learn: {}, upstream: 'http://127.0.0.1:9' });
  document = await documentOf(server);
});
const documentOf = async ({ url }: Server) => (await (await fetch(new URL('/openapi.json', url))).json()) as Document;
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

it('has every route of the server, and nothing else', () => {
  const names = server.app.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path.replace('{.+}', '').replace(/:(\w+)/g, '{$1}')}`);
  const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(documented.sort()).toEqual([...new Set(names)].sort());
});

it('says what routes read and who may use them, the provider’s only where a provider has other models', async () => {
  const { paths } = document;
  expect(paths['/v1/chat/completions'].post.requestBody).toMatchObject({
    content: {
      'application/json': { schema: { properties: { messages: { type: 'array' } }, required: ['model', 'messages'] } },
    },
  });
  expect(paths['/v1/chat/completions'].post.security).toEqual([{ key: [] }]);
  expect(paths['/health'].get.security).toEqual([]);
  expect(paths['/v1/embeddings'].post).toMatchObject({ summary: 'Forwarded to the provider' });
  const other = await serve({ folder: join(folder, 'alone'), port: 0 });
  const alone = await documentOf(other);
  await other.close();
  expect(alone.paths['/v1/embeddings']).toBeUndefined();
  expect(alone.paths['/v1/versions']).toBeUndefined();
  expect(alone.paths['/v1/chat/completions'].post).toEqual(paths['/v1/chat/completions'].post);
});

it('is OpenAPI 3.1, as a public validator sees it, with JSON Schemas that compile', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document));
  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const bodies = Object.values(operationsOf(server.app.routes)).flatMap(({ body }) => body ?? []);
  expect(bodies.length).toBeGreaterThan(10);
  for (const body of bodies) expect(ajv.compile(schemaOf(body, 'input'))).toBeTypeOf('function');
});
