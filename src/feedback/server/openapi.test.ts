import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ExtractSchema } from 'hono/types';
import { afterAll, expect, it } from 'vitest';
import type { z } from 'zod';
import { schemaOf } from '../../http/operations.ts';
import { addItems, addPerson, assignItems, createProject, openDatabase, recordJudgment } from '../index.ts';
import { apiOperations, describeRoutes, openApi } from './openapi.ts';
import { type Api, createApp } from './studio-server.ts';

const database = await openDatabase(':memory:');
afterAll(() => database.close());

const headers = { host: 'localhost', 'x-forwarded-for': '127.0.0.1' };
const app = createApp({ database, trustProxy: true }, () => undefined);
const operations = describeRoutes(app.routes);

type Routes = ExtractSchema<Api>;
/** What a route returns by its own code, by the name that the document gives it. */
type Returned<Name> = Name extends `${infer Method} ${infer Path}`
  ? Path extends keyof Routes
    ? Routes[Path] extends Record<`$${Lowercase<Method>}`, { output: infer Output }>
      ? Output
      : never
    : never
  : never;
type Operations = typeof apiOperations;
/** Names of routes whose code returns something other than the document says; `never` if all agree. */
type Wrong = {
  [Name in keyof Operations]: Operations[Name] extends { response: infer Schema extends z.ZodType }
    ? [Returned<Name>] extends [never]
      ? Name
      : [Returned<Name>] extends [z.output<Schema>]
        ? never
        : Name
    : never;
}[keyof Operations];

it('documents what the routes return, checked by the compiler', () => {
  const wrong: [Wrong] extends [never] ? 'none' : Wrong = 'none';
  expect(wrong).toBe('none');
});

it('has every route of the server, and nothing else', () => {
  const routes = createApp({ database }, () => undefined)
    .routes.filter(({ method, path }) => method !== 'ALL' && path.startsWith('/api/'))
    .map(({ method, path }) => `${method} ${path.slice('/api'.length)}`);
  expect([...new Set(routes)].sort()).toEqual(Object.keys(apiOperations).sort());
});

it('is OpenAPI 3.1, as a public validator sees it', async () => {
  const validator = new Validator();
  expect(await validator.validate(structuredClone(openApi(app.routes)) as Record<string, unknown>)).toMatchObject({
    valid: true,
  });
  expect(validator.version).toBe('3.1');
  const broken = structuredClone(openApi(app.routes)) as {
    paths: Record<string, Record<string, { responses?: object }>>;
  };
  broken.paths['/api/projects'].get.responses = [] as object;
  expect(await new Validator().validate(broken)).toMatchObject({ valid: false });
});

it('has JSON Schemas that compile', () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  for (const operation of Object.values(operations)) {
    if (operation.body) expect(ajv.compile(schemaOf(operation.body, 'input'))).toBeTypeOf('function');
    if (operation.response) expect(ajv.compile(schemaOf(operation.response, 'output'))).toBeTypeOf('function');
  }
});

it('is JSON of OpenAPI 3.1, whose references lead somewhere', () => {
  const text = JSON.stringify(openApi(app.routes));
  const document = JSON.parse(text);
  expect(document.openapi).toBe('3.1.0');
  for (const [, path] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    expect(path.split('/').reduce((at, key) => at?.[key], document)).toBeDefined();
  }
  // a list of schemas is prefixItems in 3.1, and \0 is no escape outside of JavaScript
  expect(text).not.toContain('"items":[');
  expect(text).not.toContain('\\\\0');
  expect(document.paths['/api/projects/{project}/judgments'].post).toMatchObject({
    parameters: [{ name: 'project', in: 'path', required: true }],
    requestBody: { content: { 'application/json': { schema: { required: ['id', 'item', 'judgment'] } } } },
  });
  const { content } = document.paths['/api/projects/{project}/quality'].get.responses[200];
  expect(content['application/json'].schema.properties.alpha.properties.interval.prefixItems).toHaveLength(2);
  // a field with a default need not be sent
  const { schema } = document.paths['/api/projects/{project}/next'].post.requestBody.content['application/json'];
  expect(schema.required).toBeUndefined();
});

it('describes quality, disagreements and exports as they are sent', async () => {
  const project = await createProject(database, 'P', { overlap: 2, goldShare: 0 });
  const options = ['a', 'b'].map((text) => ({ kind: 'text' as const, text }));
  await addItems(database, project, [{ content: { prompt: 'p', options } }]);
  let token = '';
  for (const [name, choice] of [['ada', 'first'] as const, ['ben', 'second'] as const]) {
    const { person, token: own } = await addPerson(database, name, 'reviewer');
    const [{ item }] = await assignItems(database, project, person.id);
    await recordJudgment(database, project, person.id, { id: name, item: item.id, judgment: { kind: 'pair', choice } });
    token = own;
  }
  const get = (what: string) =>
    app.request(`http://localhost/api/projects/P/${what}`, {
      headers: { ...headers, authorization: `Bearer ${token}` },
    });
  for (const what of ['quality', 'disagreements'] as const) {
    const sent = await (await get(what)).json();
    const { data, error } = apiOperations[`GET /projects/:project/${what}`].response.safeParse(sent);
    expect(error).toBeUndefined();
    expect(data).toEqual(sent); // nothing that the document does not name
  }
  const { types } = apiOperations['GET /projects/:project/export'];
  for (const [i, as] of ['jsonl', 'csv', 'parquet'].entries()) {
    expect((await get(`export?as=${as}`)).headers.get('content-type')).toBe(types[i]);
  }
});

it('takes changes from pages of its own scheme alone, where a proxy says which one that is', async () => {
  const { token } = await addPerson(database, 'own', 'owner');
  const create = (origin: string, name: string) =>
    app.request('http://localhost/api/projects', {
      method: 'POST',
      headers: {
        ...headers,
        origin,
        authorization: `Bearer ${token}`,
        'x-forwarded-proto': 'https',
        'content-type': 'application/json',
      },
      body: JSON.stringify({ name }),
    });
  expect((await create('https://localhost', 'safe')).status).toBe(201);
  expect((await create('http://localhost', 'not safe')).status).toBe(403);
});

it('refuses methods that a path does not take with 405, and paths that it does not have with 404', async () => {
  const refused = await app.request('http://localhost/api/projects/P/judgments', { method: 'PUT', headers });
  expect(refused.status).toBe(405);
  expect(refused.headers.get('allow')).toBe('POST');
  expect(await refused.json()).toMatchObject({ error: { hint: 'Expected POST.' } });
  expect((await app.request('http://localhost/api/projects', { method: 'DELETE', headers })).status).toBe(405);
  for (const method of ['GET', 'POST']) {
    expect((await app.request('http://localhost/api/nothing', { method, headers })).status).toBe(404);
  }
});

it.each([
  ['POST /session', { token: 'x' }],
  ['POST /projects', { name: 'haiku' }],
  ['PATCH /projects/:project', { overlap: 2 }],
  ['PUT /projects/:project/guidelines', { text: 'Be kind.' }],
  ['POST /projects/:project/items', { items: [{ content: { prompt: 'Hi', options: [{ kind: 'text', text: 'a' }] } }] }],
  ['POST /projects/:project/priorities', { priorities: { id: 0.5 } }],
  ['POST /projects/:project/suggestions', { suggestions: { id: { by: 'rm', scores: [0.5, -1] } } }],
  ['POST /projects/:project/next', {}],
  [
    'POST /projects/:project/judgments',
    { id: 'v', item: 'i', judgment: { kind: 'pair', choice: 'tie' }, shown: [1, 0] },
  ],
  ['POST /projects/:project/undo', { id: 'v', item: 'i' }],
  ['POST /people', { name: 'ada' }],
  ['PATCH /people/:name', { role: 'reviewer' }],
] as const)('%s takes %j, and no list', (route, body) => {
  const schema = operations[route].body!;
  expect(schema.safeParse(body).error).toBeUndefined();
  expect(schema.safeParse([]).success).toBe(false);
});
