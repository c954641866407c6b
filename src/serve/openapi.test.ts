import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import { schemaOf } from '../http/operations.ts';
import { openApi, operations } from './openapi.ts';
import { serve } from './serve.ts';

it('has every route of the server, and nothing else', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heed-serve-'));
  const server = await serve({ folder, port: 0, model: 'reviews-base', learn: {}, upstream: 'http://127.0.0.1:9' });
  const { routes } = server.app;
  const names = routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path.replace('{.+}', '')}`);
  expect([...new Set(names)].sort()).toEqual(Object.keys(operations).sort());
  expect(await (await fetch(new URL('/openapi.json', server.url))).json()).toEqual(
    JSON.parse(JSON.stringify(openApi())),
  );
  await server.close();
  rmSync(folder, { recursive: true });
});

it('is OpenAPI 3.1, as a public validator sees it, with JSON Schemas that compile', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(openApi()) as Record<string, unknown>);
  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  for (const { body } of Object.values(operations)) {
    if (body) expect(ajv.compile(schemaOf(body, 'input'))).toBeTypeOf('function');
  }
});
