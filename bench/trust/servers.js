/**
 * Requests to the studio and to heed serve, over HTTP, as an owner sends them: an input is JSON with the method, the
 * path, the content type and the body. Every response has to be one of the server's own: below 500, and an error says
 * what is wrong.
 */
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { path } from '../sides.js';
import { bytes, jsonText } from './mutations.js';

/** Statuses from 500 on that are no fault: no space, too much at once, and what the server does not do. */
const ANSWERS = [501, 503, 507];

function send(agent, url, { method, path, type, body }, headers) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const data = Buffer.from(body, 'latin1');
    const sent = request(
      {
        agent,
        hostname,
        port,
        method,
        path,
        headers: { ...headers, ...(type && { 'content-type': type }), 'content-length': data.length },
      },
      (response) => {
        const parts = [];
        const isStream = /event-stream/.test(response.headers['content-type'] ?? '');
        if (isStream) {
          resolve({ status: response.statusCode, isStream });
          response.destroy();
          return;
        }
        response.on('data', (part) => parts.push(part));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode,
            type: response.headers['content-type'],
            text: Buffer.concat(parts).toString(),
          }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(data);
  });
}

/** Sends an input; what is wrong with the response is thrown. */
async function ask({ agent, url, headers, HeedError, errors }, input) {
  const told = JSON.parse(input.toString());
  let response;
  try {
    response = await send(agent, url, told, headers());
  } catch (error) {
    // what Node's client refuses to send, no server gets
    if (/^ERR_(INVALID|UNESCAPED|HTTP)/.test(error.code) || error instanceof TypeError)
      throw new HeedError('request.json is not sent');
    throw new Error(`no response: ${error.code ?? error.message}`);
  }
  const { status, type = '', text = '', isStream } = response;
  const problem = (what) =>
    new Error(
      `${told.method} ${told.path.split('?')[0]}: ${what}: ${text.slice(0, 200)} ${errors.splice(0).join(' ').slice(0, 500)}`,
    );
  if (isStream || told.method === 'HEAD') return 'accepted';
  if (status >= 500 && !ANSWERS.includes(status)) throw problem(status);
  let json;
  if (/json/.test(type) && !/jsonl/.test(type)) {
    try {
      json = JSON.parse(text);
    } catch {
      throw problem(`${status} is no JSON`);
    }
  }
  if (status < 400) return 'accepted';
  // Node itself refuses what is no HTTP, in few words
  if (status !== 400 && status !== 431 && type === '') throw problem(`${status} says nothing`);
  if (/json/.test(type) && !json.error?.message) throw problem(`${status} without a message`);
  return 'refused';
}

/** Changes a request: mostly its body by its structure, or its address, or bytes of either. */
function mutate(input, steps, other) {
  const told = JSON.parse(input.toString());
  const { op, to } = steps[0];
  const isForm = /multipart/.test(told.type);
  if (op % 10 < 6 && told.body !== '') {
    if (isForm || op % 10 === 5) told.body = bytes(Buffer.from(told.body, 'latin1'), steps).toString('latin1');
    else {
      const foreign = JSON.parse(other.toString());
      const value = foreign.body && !/multipart/.test(foreign.type) ? JSON.parse(foreign.body) : {};
      told.body = Buffer.from(jsonText(JSON.parse(told.body), steps, value)).toString('latin1');
    }
  } else if (op % 10 < 9) {
    const changed = bytes(Buffer.from(told.path), steps.slice(0, 2)).toString('latin1');
    told.path = `/${changed.replace(/^\//, '')}`.slice(0, 4000);
    if (to < 0.5)
      told.path = told.path.replaceAll(
        /[\0-\x20\x7f-\xff]/g,
        (c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
      );
  } else {
    const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'PROPFIND'];
    const types = [
      'application/json',
      'text/plain',
      '',
      'multipart/form-data',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
      'application/json; charset=utf-16',
    ];
    told.method = methods[Math.floor(to * methods.length)];
    told.type = types[Math.floor(steps[0].more * types.length)];
  }
  return Buffer.from(JSON.stringify(told));
}

const json = (method, path, body) =>
  Buffer.from(
    JSON.stringify({
      method,
      path,
      type: body === undefined ? '' : 'application/json',
      body: body === undefined ? '' : JSON.stringify(body),
    }),
  );

const pair = (n) => ({
  content: { prompt: `Prompt ${n}`, options: ['a', 'b'].map((which) => ({ kind: 'text', text: `${which} ${n}` })) },
  source: 'web',
});
const ITEM = 'aaaaaaaaaaaaaaaa';
const judgment = {
  id: 'v1',
  item: ITEM,
  judgment: { kind: 'pair', choice: 'first' },
  shown: [0, 1],
  duration: 1000,
  comment: 'ok',
};
/** Bodies of the studio's routes that take one; all other routes are asked without. */
const STUDIO_BODIES = {
  'POST /projects': {
    name: 'made',
    settings: { kind: 'rating', overlap: 2, goldShare: 0.1, aspects: ['helpful'] },
    guidelines: '# Do',
  },
  'PATCH /projects/:project': { overlap: 3, leaseSeconds: 60, certainty: 0.9, budget: 100 },
  'POST /projects/:project/archive': { archived: false },
  'PUT /projects/:project/members': { members: ['ada'] },
  'PUT /projects/:project/guidelines': { text: '# Choose\n\nthe better one' },
  'POST /projects/:project/items': {
    items: [pair(1), { ...pair(2), gold: { kind: 'pair', choice: 'first' }, priority: 1 }],
  },
  'POST /projects/:project/items/archive': { items: [ITEM], archived: true },
  'POST /projects/:project/items/delete': { items: [ITEM] },
  'POST /projects/:project/priorities': { priorities: { [ITEM]: 2 } },
  'POST /projects/:project/suggestions': { suggestions: { [ITEM]: { scores: [1, 2], model: 'm' } } },
  'POST /projects/:project/next': { count: 3 },
  'POST /projects/:project/judgments': judgment,
  'POST /projects/:project/undo': { id: 'u1', item: ITEM },
  'POST /projects/:project/adjudicate': judgment,
  'POST /projects/:project/import': {
    text: '{"prompt":"p","chosen":"a","rejected":"b"}\n',
    type: 'jsonl',
    answers: 'gold',
    onBadRow: 'skip',
  },
  'POST /projects/:project/chat': { prompt: 'Hi', turn: 'x' },
  'POST /people': { name: 'new', role: 'annotator', projects: ['pairs'] },
  'PATCH /people/:name': { role: 'reviewer' },
  'POST /session': { token: 'x' },
  'POST /chat': { messages: [{ role: 'user', content: 'Hi' }] },
  'POST /rooms/:project/request': { request: 'pause' },
  'POST /rooms/:project/invite': { name: 'x' },
};

const studio = {
  file: 'request.json',
  rooms: ['feedback'],
  async open({ feedback, HeedError }, folder) {
    const database = await feedback.openDatabase(':memory:');
    const project = await feedback.createProject(database, 'pairs', { goldShare: 0, overlap: 3 });
    await feedback.addItems(
      database,
      project,
      Array.from({ length: 200 }, (_, n) => pair(n)),
    );
    await feedback.addPerson(database, 'ada');
    // a person may ask twenty times a second
    const tokens = [];
    for (let i = 0; i < 60; i++) tokens.push((await feedback.addPerson(database, `owner ${i}`, 'owner')).token);
    const errors = [];
    const server = await feedback.startStudio({
      database,
      runs: join(folder, 'runs'),
      onError: (text) => errors.push(text),
    });
    const agent = new Agent({ keepAlive: true });
    let asked = 0;
    const headers = () => ({ authorization: `Bearer ${tokens[asked++ % tokens.length]}` });
    return {
      agent,
      url: server.url,
      headers,
      HeedError,
      errors,
      async close() {
        agent.destroy();
        await server.close();
        await database.close();
      },
    };
  },
  async seeds({ feedback }, folder) {
    const state = await studio.open({ feedback, HeedError: Error }, folder);
    try {
      const { text } = await send(
        state.agent,
        state.url,
        { method: 'GET', path: '/api/openapi.json', body: '' },
        state.headers(),
      );
      const { text: items } = await send(
        state.agent,
        state.url,
        { method: 'GET', path: '/api/projects/pairs/items', body: '' },
        state.headers(),
      );
      const { id } = JSON.parse(items).items[0];
      return routesOf(JSON.parse(text), '/api', STUDIO_BODIES, {
        project: 'pairs',
        name: 'ada',
        item: id,
        run: 'none',
      }).map((route) => Buffer.from(route.toString().replaceAll(ITEM, id)));
    } finally {
      await state.close();
    }
  },
  mutate,
  read: (_, __, input, state) => ask(state, input),
  isRequest: true,
};

/** A request for each operation of an OpenAPI document, with its body. */
function routesOf({ paths }, base, bodies, names) {
  return Object.entries(paths).flatMap(([route, methods]) =>
    Object.keys(methods)
      .filter((method) => ['get', 'post', 'put', 'patch', 'delete'].includes(method))
      .map((method) => {
        const short = route.replace(base, '').replaceAll(/\{(\w+)\}/g, ':$1');
        const body = bodies[`${method.toUpperCase()} ${short}`];
        const path = route.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(names[name] ?? 'x'));
        if (body instanceof Form) return body.request(method.toUpperCase(), path);
        return json(method.toUpperCase(), path, body);
      })
      // what would end the rest: the project, and the person
      .filter((seed) => !/"DELETE","path":"\/api\/(projects\/pairs|people\/ada)"/.test(seed.toString())),
  );
}

/** A body of multipart/form-data. */
class Form {
  constructor(fields) {
    this.fields = fields;
  }
  request(method, path) {
    const parts = Object.entries(this.fields).map(([name, value]) => {
      const file = name === 'file' || name === 'data' ? '; filename="rows.jsonl"' : '';
      return `--seam\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
    });
    const body = `${parts.join('')}--seam--\r\n`;
    return Buffer.from(JSON.stringify({ method, path, type: 'multipart/form-data; boundary=seam', body }));
  }
}

const messages = [
  { role: 'system', content: 'Be brief' },
  { role: 'user', content: 'Hello' },
];
const tools = [
  {
    type: 'function',
    function: {
      name: 'f',
      description: 'd',
      parameters: { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] },
    },
  },
];
const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'], additionalProperties: false };
const grader = {
  type: 'string_check',
  name: 'g',
  input: '{{sample.output_text}}',
  reference: '{{item.answer}}',
  operation: 'eq',
};
const SERVE_BODIES = {
  'POST /v1/chat/completions': {
    model: 'tiny',
    messages,
    max_tokens: 2,
    temperature: 0.7,
    top_p: 0.9,
    seed: 1,
    n: 1,
    stop: ['x'],
    tools,
    logprobs: true,
    top_logprobs: 2,
    logit_bias: { 5: 1 },
    user: 'u',
    store: true,
    metadata: { a: 'b' },
    response_format: { type: 'json_schema', json_schema: { name: 's', schema } },
  },
  'POST /v1/chat/completions/:id': { metadata: { a: 'b' } },
  'POST /v1/completions': {
    model: 'tiny',
    prompt: ['Hello', 'Bye'],
    max_tokens: 2,
    echo: true,
    logprobs: 1,
    suffix: null,
  },
  'POST /v1/responses': {
    model: 'tiny',
    input: [{ role: 'user', content: [{ type: 'input_text', text: 'Hi' }] }],
    max_output_tokens: 2,
    instructions: 'x',
    text: { format: { type: 'text' } },
  },
  'POST /v1/responses/input_tokens': { model: 'tiny', input: 'Hello' },
  'POST /v1/feedback': { completion_id: 'chatcmpl-x', rating: 'good', comment: 'ok' },
  'POST /v1/files': new Form({
    purpose: 'fine-tune',
    file: '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}',
  }),
  'POST /v1/uploads': { purpose: 'user_data', filename: 'a.txt', bytes: 3, mime_type: 'text/plain' },
  'POST /v1/uploads/:id/parts': new Form({ data: 'abc' }),
  'POST /v1/uploads/:id/complete': { part_ids: ['part_x'] },
  'POST /v1/fine_tuning/jobs': {
    model: 'none',
    training_file: 'file-x',
    method: { type: 'dpo', dpo: { hyperparameters: { beta: 0.1 } } },
    suffix: 's',
  },
  'POST /v1/fine_tuning/alpha/graders/run': { grader, model_sample: 'yes', item: { answer: 'yes' } },
  'POST /v1/fine_tuning/alpha/graders/validate': {
    grader: { type: 'multi', name: 'm', graders: { a: grader }, calculate_output: 'a * 2' },
  },
  'POST /versions': { id: 'x' },
};

const serve = {
  file: 'request.json',
  rooms: ['serve'],
  async open({ serve: { serve: start }, HeedError }, folder) {
    const errors = [];
    const server = await start({
      models: { tiny: path('../test/fixtures/models/tiny-llama') },
      folder: join(folder, 'served'),
      runs: join(folder, 'runs'),
      port: 0,
      maxTokens: 4,
      perMinute: 1_000_000,
      concurrency: 1000,
      drain: 0,
      jobs: 1,
      onNotice: (text) => errors.push(text),
    });
    const agent = new Agent({ keepAlive: true });
    return {
      agent,
      url: server.url,
      headers: () => ({}),
      HeedError,
      errors,
      async close() {
        agent.destroy();
        await server.close();
      },
    };
  },
  async seeds(heed, folder) {
    const state = await serve.open(heed, folder);
    try {
      const { text } = await send(state.agent, state.url, { method: 'GET', path: '/openapi.json', body: '' }, {});
      return routesOf(JSON.parse(text), '', SERVE_BODIES, { model: 'tiny', user: 'u' });
    } finally {
      await state.close();
    }
  },
  mutate,
  read: (_, __, input, state) => ask(state, input),
  isRequest: true,
};

export const serverKinds = { studio, serve };
