import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, expect, it } from 'vitest';
import { modelChat, openChat } from '../../align/judges/chat.ts';
import type { Chat } from '../../align/judges/source.ts';
import {
  addItems,
  addPerson,
  assignItems,
  createProject,
  exportRows,
  listItems,
  openDatabase,
  recordJudgment,
  setCritiques,
} from '../../feedback/index.ts';
import { loadModel } from '../../lm/model.ts';
import { critique } from './critique.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-critique-'));
afterAll(() => rmSync(folder, { recursive: true }));

const texts = (...all: string[]) => all.map((text) => ({ kind: 'text' as const, text }));
const pairs = Array.from({ length: 20 }, (_, n) => ({
  content: { prompt: `What is ${n} + 1?`, options: texts(`It is ${n + 1}.`, `It is ${n + 2}.`) },
}));

/** A server that speaks OpenAI's protocol and finds sums that are wrong; `fails` says which calls it refuses. */
async function serveCritic(fails: (call: number) => boolean = () => false) {
  const asked: string[] = [];
  let calls = 0;
  const server = createServer(async (request, response) => {
    const { messages } = (await json(request)) as { messages: { content: string }[] };
    if (fails(calls++)) {
      response.statusCode = 400;
      return void response.end('{"error": {"message": "no"}}');
    }
    const [{ content }] = messages;
    asked.push(content);
    const [, n, sum] = content.match(/What is (\d+) \+ 1\?.*It is (\d+)\./s)!.map(Number);
    const reply = sum === n + 1 ? 'NONE.' : `<b>${n} + 1</b> is ${n + 1}.`;
    response.end(JSON.stringify({ choices: [{ message: { content: reply } }] }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1#critic`;
  return { url, asked, [Symbol.dispose]: () => server.close() };
}

it('stores what a critic behind an endpoint says of each response, and goes on where it failed', async () => {
  const database = await openDatabase(':memory:');
  const project = await createProject(database, 'sums', { goldShare: 0 });
  await addItems(database, project, pairs);
  let isBroken = true;
  using served = await serveCritic((call) => isBroken && call >= 34);
  using critic = await openChat(served.url, {}, { atOnce: 1, retries: 0 });
  await expect(critique(database, project, critic)).rejects.toThrow('400');
  isBroken = false;
  expect(await critique(database, project, critic)).toEqual({ items: 4, known: 16 });
  expect(await critique(database, project, critic)).toEqual({ items: 0, known: 20 });
  // it reads one response at a time, never both
  for (const question of served.asked) expect(question.match(/It is \d+\./g)).toHaveLength(1);
  const { person } = await addPerson(database, 'ada');
  const [{ item }] = await assignItems(database, project, person.id, { count: 1 });
  const [right, wrong] = item.critiques!.texts;
  expect(item.critiques).toMatchObject({ by: served.url });
  expect(right).toBe('');
  expect(wrong).toMatch(/^<b>\d+ \+ 1<\/b> is \d+\.$/);
  const judgment = { kind: 'pair', choice: 'first' } as const;
  await recordJudgment(database, project, person.id, { id: 'one', item: item.id, judgment, critiquesSeen: true });
  const rows = [];
  for await (const row of exportRows(database, project, { format: 'judgments' })) rows.push(row);
  expect(rows[0]).toMatchObject({ critiques: item.critiques, judgments: [{ critiquesSeen: true }] });
  await database.close();
});

it('draws several critiques, and says how many of them find a fault', async () => {
  const database = await openDatabase(':memory:');
  const project = await createProject(database, 'p', { kind: 'binary', goldShare: 0 });
  await addItems(database, project, [
    { content: { options: texts('doubtful') } },
    { content: { options: texts('clean') } },
  ]);
  let temperature: number | undefined;
  const critic: Chat = {
    name: 'sampler',
    async complete(conversations, options) {
      temperature = options?.temperature;
      return conversations.map(([{ content }], i) =>
        String(content).includes('doubtful') && i % 4 !== 0 ? `fault ${i}` : 'None',
      );
    },
  };
  await critique(database, project, critic, { samples: 4 });
  const { person } = await addPerson(database, 'ada');
  const next = await assignItems(database, project, person.id, { count: 2 });
  expect(temperature).toBe(1);
  expect(next.map(({ item }) => item.critiques)).toEqual([
    { by: 'sampler', texts: ['fault 1'], found: [0.75] },
    { by: 'sampler', texts: [''], found: [0] },
  ]);
  await database.close();
});

it('says what is wrong with a template, a project and critiques', async () => {
  const database = await openDatabase(':memory:');
  const project = await createProject(database, 'p', { goldShare: 0 });
  using critic = modelChat(await loadModel('reviews-chat'));
  await expect(critique(database, project, critic)).rejects.toThrow('"p" has no items whose responses are all texts');
  await addItems(database, project, pairs.slice(0, 1));
  const template = join(folder, 'question.txt');
  writeFileSync(template, 'What is wrong with {{prompt}}?');
  await expect(critique(database, project, critic, { template })).rejects.toThrow('has no {{completion}}');
  const { items } = await listItems(database, project, {});
  const few = new Map([[items[0].id, { by: 'x', texts: ['one'] }]]);
  await expect(setCritiques(database, project.id, few)).rejects.toThrow(
    'one of the critiques does not fit: Expected critiques of 2 options, got 1',
  );
  await expect(
    addItems(database, project, [{ ...pairs[1], critiques: { by: 'x', texts: ['a', 'b', 'c'] } }]),
  ).rejects.toThrow('Item 1: expected critiques of 2 options, got 3');
  // a local model writes as well: what it writes is worth little, but it arrives
  expect(await critique(database, project, critic, { maxTokens: 8 })).toEqual({ items: 1, known: 0 });
  await database.close();
});
