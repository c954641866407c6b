/**
 * Feedback of chat apps. The fixtures were written by hand: Open WebUI's feedback and LibreChat's messages by their source,
 * the others by the tools' documentation.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { heedError } from '../../../test/support/gradients.ts';
import { ownStores } from '../../../test/support/stores.ts';
import { type Database, exportRows, findProject, importFrom, listProjects, openDatabase } from '../index.ts';
import type { ChatTool } from './tools.ts';

const { folder } = await ownStores();
const fixture = (name: string) => join(import.meta.dirname, '../../../test/fixtures/transfer/chat-apps', name);

interface Moved {
  prompt: { content: string }[];
  options: { text: string }[];
  judgments: { person: string; judgment: Record<string, unknown> }[];
}

const opened: Database[] = [];
const openStore = async () => {
  opened.push(await openDatabase(':memory:'));
  return opened.at(-1)!;
};
afterEach(() => Promise.all(opened.splice(0).map((database) => database.close())));

async function moved(tool: ChatTool, file: string) {
  const database = await openStore();
  const dry = await importFrom(database, tool, file, { project: 'app', dryRun: true });
  expect(await listProjects(database)).toEqual([]);
  const done = await importFrom(database, tool, file, { project: 'app' });
  expect(done).toEqual(dry);
  const again = await importFrom(database, tool, file, { project: 'app' });
  expect(again.map(({ added, judgments }) => [added, judgments])).toEqual(done.map(() => [0, 0]));
  const rows: Record<string, unknown[]> = {};
  for (const { name } of done) {
    rows[name] = [];
    for await (const row of exportRows(database, await findProject(database, name), { format: 'judgments' })) {
      const { prompt, options, judgments } = row as unknown as Moved;
      for (const { person, judgment } of judgments) {
        rows[name].push([
          prompt.map(({ content }) => content).join(' | '),
          ...options.map(({ text }) => text),
          person,
          judgment,
        ]);
      }
    }
  }
  return { rows, leftOut: done.flatMap(({ leftOut }) => leftOut.map(({ what, records }) => [records, what])) };
}

it('takes the feedbacks of Open WebUI, without personal details', async () => {
  const { rows, leftOut } = await moved('open-webui', fixture('open-webui-feedbacks.json'));
  const asked = 'Write to [email] about tea.';
  expect(rows).toEqual({
    'app ratings': [
      [asked, 'Tea is warm.', 'u-1', { kind: 'binary', good: true, reason: 'accurate information: Good.' }],
      [asked, 'Tea is warm.', 'u-3', { kind: 'binary', good: true, reason: 'accurate information: Good.' }],
      [asked, 'No.', 'u-2', { kind: 'binary', good: false, reason: 'accurate information' }],
    ],
    'app choices': [[asked, 'Tea is warm.', 'No.', 'u-3', { kind: 'pair', choice: 'first' }]],
  });
  expect(leftOut).toEqual([[1, 'feedback whose conversation is not in the export']]);
});

it('takes ratings, edits and regenerations of chats of Open WebUI', async () => {
  const { rows } = await moved('open-webui', fixture('open-webui-chats.json'));
  expect(rows).toEqual({
    'app ratings': [['Name a color.', 'Blue.', 'u-1', { kind: 'binary', good: true, reason: 'right' }]],
    'app edits': [['Name a color. | Blue. | Another.', 'Rde.', 'u-1', { kind: 'correction', text: 'Red.' }]],
    'app choices': [['Name a color.', 'Blue.', 'Dog.', 'u-1', { kind: 'pair', choice: 'first' }]],
  });
});

it('takes conversations of LibreChat', async () => {
  const { rows } = await moved('librechat', fixture('librechat.json'));
  expect(rows).toEqual({
    'app ratings': [
      ['Hello', 'Go away.', '65f0', { kind: 'binary', good: false, reason: 'bad style: rude' }],
      ['Hello', 'Hello, how can I help?', '65f0', { kind: 'binary', good: true, reason: 'clear well written' }],
    ],
    'app choices': [['Hello', 'Hello, how can I help?', 'Go away.', '65f0', { kind: 'pair', choice: 'first' }]],
  });
});

it('takes traces and scores of Langfuse, not what models say', async () => {
  const { rows, leftOut } = await moved('langfuse', fixture('langfuse'));
  expect(rows).toEqual({
    'app ratings': [
      ['2+2?', '4', 'u-7', { kind: 'binary', good: true, reason: 'exact' }],
      ['What is 3+3?', '5', 'u-7', { kind: 'binary', good: false }],
    ],
    'app edits': [['What is 3+3?', '5', 'u-7', { kind: 'correction', text: '6' }]],
  });
  expect(leftOut).toEqual([
    [1, 'scores by a model: "helpfulness"'],
    [1, 'scores that are not thumbs: "tone"'],
  ]);
});

it('takes runs and feedback of LangSmith', async () => {
  const { rows, leftOut } = await moved('langsmith', fixture('langsmith'));
  expect(rows).toEqual({
    'app ratings': [
      ['Capital of France?', 'Paris', 'u-9', { kind: 'binary', good: true, reason: 'yes' }],
      ['Capital of Peru?', 'Cuzco', 'u-4', { kind: 'binary', good: false }],
    ],
    'app edits': [['Capital of Peru?', 'Cuzco', 'u-4', { kind: 'correction', text: 'Lima' }]],
  });
  expect(leftOut).toEqual([[1, 'scores by a model: "judge"']]);
});

it.each(['answer', 'response', 'output'])('takes what a chain wrote under the name "%s"', async (name) => {
  const file = join(folder, `chain-${name}.jsonl`);
  const run = { id: 'r', run_type: 'chain', inputs: { question: 'Capital of Peru?' }, outputs: { [name]: 'Lima' } };
  const score = { id: 's', run_id: 'r', key: 'user_score', score: 1, feedback_source: { type: 'app', user_id: 'u' } };
  writeFileSync(file, [run, score].map((one) => `${JSON.stringify(one)}\n`).join(''));
  const { rows } = await moved('langsmith', file);
  expect(rows).toEqual({ 'app ratings': [['Capital of Peru?', 'Lima', 'u', { kind: 'binary', good: true }]] });
});

it('takes stored completions of OpenAI that say what users thought', async () => {
  const { rows, leftOut } = await moved('openai-stored', fixture('openai-stored.json'));
  expect(rows).toEqual({ 'app ratings': [['Hi', 'Hello!', 'openai-stored', { kind: 'binary', good: true }]] });
  expect(leftOut).toEqual([
    [1, 'completions without feedback in their metadata'],
    [1, 'completions without their messages'],
  ]);
});

it('says what a file has that has no feedback', async () => {
  const database = await openStore();
  const empty = join(folder, 'empty.json');
  writeFileSync(empty, '[{"id": "c", "chat": {}}]');
  await expect(importFrom(database, 'open-webui', empty, { project: 'app' })).rejects.toThrow(
    heedError(/no thumbs, corrections or regenerations/, /1 × records without a conversation/),
  );
  writeFileSync(empty, 'id,rating\n1,2');
  await expect(importFrom(database, 'langfuse', empty, { project: 'app' })).rejects.toThrow(
    heedError(/line 1/, /JSON/),
  );
});

const keys = {
  OPEN_WEBUI_API_KEY: 'sk-webui',
  LANGFUSE_PUBLIC_KEY: 'pk-lf-1',
  LANGFUSE_SECRET_KEY: 'sk-lf-2',
  LANGSMITH_API_KEY: 'lsv2-3',
  OPENAI_API_KEY: 'sk-openai',
};

/** The records of a fixture's files, or of the one with a name. */
const recordsIn = (name: string, file = ''): Record<string, unknown>[] => {
  const path = fixture(name);
  const files = statSync(path).isDirectory() ? readdirSync(path).map((one) => join(path, one)) : [path];
  return files
    .filter((one) => one.includes(file))
    .flatMap((one) => {
      const text = readFileSync(one, 'utf8');
      const value = JSON.parse(one.endsWith('.jsonl') ? `[${text.trim().replaceAll('\n', ',')}]` : text);
      return Array.isArray(value) ? value : (value.data ?? value.runs);
    });
};

/** What the tools' APIs reply, a record a page; undefined for another path. */
function replyTo(url: URL, headers: IncomingHttpHeaders, body: { cursor?: string }): unknown {
  const bearer = String(headers.authorization).replace('Bearer ', '');
  const [page, offset] = [Number(url.searchParams.get('page')), Number(url.searchParams.get('offset'))];
  switch (url.pathname) {
    case '/api/v1/evaluations/feedbacks/all/export':
      return bearer === keys.OPEN_WEBUI_API_KEY && recordsIn('open-webui-feedbacks.json');
    case '/api/public/traces':
    case '/api/public/v2/scores': {
      const all = recordsIn('langfuse', url.pathname.endsWith('traces') ? 'trace' : 'score');
      const key = Buffer.from(`${keys.LANGFUSE_PUBLIC_KEY}:${keys.LANGFUSE_SECRET_KEY}`).toString('base64');
      const meta = { page, limit: 1, totalItems: all.length, totalPages: all.length };
      return headers.authorization === `Basic ${key}` && { data: all.slice(page - 1, page), meta };
    }
    case '/api/v1/sessions':
      return headers['x-api-key'] === keys.LANGSMITH_API_KEY && [{ id: 'session' }].slice(offset);
    case '/api/v1/runs/query': {
      const all = recordsIn('langsmith').filter(({ run_id }) => run_id === undefined);
      const at = Number(body.cursor ?? 0);
      return { runs: all.slice(at, at + 1), cursors: { next: at + 1 < all.length ? String(at + 1) : null } };
    }
    case '/api/v1/feedback': {
      const runs = url.searchParams.getAll('run');
      const all = recordsIn('langsmith').filter(({ run_id }) => runs.includes(String(run_id)));
      return all.slice(offset, offset + 1);
    }
    case '/v1/chat/completions': {
      const all = recordsIn('openai-stored.json').map(({ messages: _, ...one }) => one);
      const at = 1 + all.findIndex(({ id }) => id === url.searchParams.get('after'));
      const data = all.slice(at, at + 1);
      return (
        bearer === keys.OPENAI_API_KEY && { object: 'list', data, has_more: at + 1 < all.length, last_id: data[0].id }
      );
    }
  }
  const [, id] = /^\/v1\/chat\/completions\/(.*)\/messages$/.exec(url.pathname) ?? [];
  const found = recordsIn('openai-stored.json').find((one) => one.id === id);
  return found && { object: 'list', data: found.messages ?? [], has_more: false };
}

describe('an API', () => {
  let address: string;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url!, 'http://localhost');
    let body = '';
    for await (const chunk of request) body += chunk;
    const reply = replyTo(url, request.headers, JSON.parse(body || '{}'));
    response.statusCode = reply === false ? 401 : reply === undefined ? 404 : 200;
    response.end(JSON.stringify(reply || { error: `your key ${JSON.stringify(request.headers)}` }));
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());
  beforeEach(() => {
    for (const [name, key] of Object.entries(keys)) vi.stubEnv(name, key);
  });
  afterEach(() => void vi.unstubAllEnvs());

  it.each<[ChatTool, string, string]>([
    ['open-webui', '', 'open-webui-feedbacks.json'],
    ['langfuse', '/', 'langfuse'],
    ['langsmith', '', 'langsmith'],
    ['openai-stored', '/v1', 'openai-stored.json'],
  ])('of %s gives what its export has', async (tool, path, file) => {
    expect(await moved(tool, address + path)).toEqual(await moved(tool, fixture(file)));
  });

  it('is refused in words without the key', async () => {
    const from = async (tool: ChatTool, place = address) =>
      importFrom(await openStore(), tool, place, { project: 'app', dryRun: true });
    vi.stubEnv('OPEN_WEBUI_API_KEY', 'sk-wrong');
    const refused = await from('open-webui').catch((error: Error) => error);
    expect(refused).toMatchObject({ message: expect.stringContaining('refused the key (401)') });
    expect(JSON.stringify([refused, (refused as Error).message])).not.toContain('sk-wrong');
    vi.stubEnv('LANGFUSE_SECRET_KEY', '');
    await expect(from('langfuse')).rejects.toThrow(heedError(/key of langfuse is missing/, /LANGFUSE_SECRET_KEY/));
    await expect(from('librechat')).rejects.toThrow(heedError(/reads only its files/, /mongoexport/));
    await expect(from('openai-stored')).rejects.toThrow(heedError(/replied 404/, /Check the address/));
    await expect(from('langsmith', 'http://127.0.0.1:1')).rejects.toThrow(heedError(/cannot be reached/, /address/));
  });
});
