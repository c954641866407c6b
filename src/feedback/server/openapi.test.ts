import { afterAll, expect, it } from 'vitest';
import { addItems, addPerson, createProject, nextItems, openDatabase, recordVote } from '../index.ts';
import { createApp } from './index.ts';
import { openApi, operations } from './openapi.ts';

const database = await openDatabase(':memory:');
afterAll(() => database.close());

it('every route of the server is in the document, and nothing else', () => {
  const routes = createApp({ database }, () => undefined)
    .routes.filter(({ method, path }) => method !== 'ALL' && path.startsWith('/api/'))
    .map(({ method, path }) => `${method} ${path.slice('/api'.length).replace(/:(\w+)/g, '{$1}')}`);
  expect([...new Set(routes)].sort()).toEqual(Object.keys(operations).sort());
});

it('is JSON of OpenAPI 3.1, whose references lead somewhere', () => {
  const text = JSON.stringify(openApi());
  const document = JSON.parse(text);
  expect(document.openapi).toBe('3.1.0');
  for (const [, path] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    expect(path.split('/').reduce((at, key) => at?.[key], document)).toBeDefined();
  }
  expect(document.paths['/api/projects/{project}/votes'].post).toMatchObject({
    parameters: [{ name: 'project', in: 'path', required: true }],
    requestBody: { content: { 'application/json': { schema: { required: ['id', 'item', 'vote'] } } } },
  });
  // what a default is for need not be sent
  const { schema } = document.paths['/api/projects/{project}/next'].post.requestBody.content['application/json'];
  expect(schema.required).toBeUndefined();
});

it('tells what quality and disagreements are answered with', async () => {
  const project = await createProject(database, 'P', { overlap: 2, goldShare: 0 });
  const options = ['a', 'b'].map((text) => ({ kind: 'text' as const, text }));
  await addItems(database, project, [{ content: { prompt: 'p', options } }]);
  let token = '';
  for (const [name, choice] of [['ada', 'first'] as const, ['ben', 'second'] as const]) {
    const { person, token: own } = await addPerson(database, name, 'reviewer');
    const [{ item }] = await nextItems(database, project, person.id);
    await recordVote(database, project, person.id, { id: name, item: item.id, vote: { kind: 'pair', choice } });
    token = own;
  }
  const app = createApp({ database, trustProxy: true }, () => undefined);
  for (const what of ['quality', 'disagreements']) {
    const headers = { authorization: `Bearer ${token}`, host: 'localhost', 'x-forwarded-for': '127.0.0.1' };
    const said = await (await app.request(`http://localhost/api/projects/P/${what}`, { headers })).json();
    const { data, error } = operations[`GET /projects/{project}/${what}`].answer!.safeParse(said);
    expect(error).toBeUndefined();
    expect(data).toEqual(said); // nothing that the document does not name
  }
});

it.each([
  ['POST /session', { token: 'x' }],
  ['POST /projects', { name: 'haiku' }],
  ['PATCH /projects/{project}', { overlap: 2 }],
  ['PUT /projects/{project}/guidelines', { text: 'Be kind.' }],
  [
    'POST /projects/{project}/items',
    { items: [{ content: { prompt: 'Hi', options: [{ kind: 'text', text: 'a' }] } }] },
  ],
  ['POST /projects/{project}/priorities', { priorities: { id: 0.5 } }],
  ['POST /projects/{project}/next', {}],
  ['POST /projects/{project}/votes', { id: 'v', item: 'i', vote: { kind: 'pair', choice: 'tie' }, shown: [1, 0] }],
  ['POST /projects/{project}/undo', { id: 'v', item: 'i' }],
  ['POST /people', { name: 'ada' }],
  ['PATCH /people/{name}', { role: 'reviewer' }],
])('%s takes %j, and no list', (route, body) => {
  const { body: schema } = operations[route];
  expect(schema!.safeParse(body).error).toBeUndefined();
  expect(schema!.safeParse([]).success).toBe(false);
});
