/** Environments that heed serves by OpenEnv's protocol. test/fixtures/openenv shows what its own server says. */
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../../../test/support/eventually.ts';
import type { LanguageTasks, PolicyTurn } from '../../align/agents/environment.ts';
import { openOpenEnv } from '../../align/agents/openenv.ts';
import { toolEnvironment } from '../../align/agents/tools.ts';
import { type EnvironmentServer, serveEnvironment } from './serve.ts';

const letters: LanguageTasks = {
  name: 'letters',
  tasks: [{ word: 'bee' }, { word: 'tree' }],
  make() {
    let left = 0;
    return {
      reset({ word }) {
        left = 2;
        return [{ role: 'user', content: `Spell ${word}.` }];
      },
      step({ text }) {
        if (text === 'crash') throw new Error('out of ink');
        if (text === 'hang') return new Promise<never>(() => {});
        if (text === 'nan') return { reward: Number.NaN, done: true };
        const reward = (text.match(/e/g) ?? []).length / Math.max(1, text.length);
        return --left === 0 ? { reward, done: true } : { reward, messages: [{ role: 'user', content: 'More.' }] };
      },
    };
  },
};
const sums: LanguageTasks = {
  name: 'sums',
  tasks: [{ question: '1 + 2', answer: '3' }],
  make: () =>
    toolEnvironment({
      tools: [{ name: 'add', parameters: { type: 'object' }, run: ({ a, b }) => Number(a) + Number(b) }],
      reset: ({ question }) => [{ role: 'user', content: String(question) }],
      score: (text, { answer }) => Number(text === answer),
    }),
};
let server: EnvironmentServer;
let calculator: EnvironmentServer;
beforeAll(async () => {
  server = await serveEnvironment(letters, { port: 0, seconds: 0.2 });
  calculator = await serveEnvironment(sums, { port: 0 });
});
afterAll(async () => {
  await server.close();
  await calculator.close();
});
const signal = new AbortController().signal;

/** A session that sends texts, and returns the replies. */
async function session({ url }: EnvironmentServer, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers });
  const replies: string[] = [];
  let wake = () => {};
  socket.on('message', (text) => {
    replies.push(String(text));
    wake();
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const next = async () => {
    while (replies.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return JSON.parse(replies.shift()!);
  };
  return {
    socket,
    next,
    ask(type: string, data?: unknown) {
      socket.send(JSON.stringify({ type, data }));
      return next();
    },
  };
}

it('speaks the protocol', async () => {
  const { socket, ask, next } = await session(server);
  expect(await ask('step', { message: 'e' })).toMatchObject({ type: 'error', data: { code: 'EXECUTION_ERROR' } });
  expect(await ask('reset', { seed: 1, episode_id: 'mine' })).toEqual({
    type: 'observation',
    data: {
      observation: { text: 'Spell tree.', messages: [{ role: 'user', content: 'Spell tree.' }], tools: [] },
      reward: null,
      done: false,
    },
  });
  expect((await ask('reset', { task: 0, word: 'eel' })).data.observation.text).toBe('Spell eel.');
  expect((await ask('step', { message: 'eel' })).data).toMatchObject({ reward: 2 / 3, done: false });
  expect(await ask('state')).toMatchObject({ type: 'state', data: { step_count: 1 } });
  expect((await ask('step', { message: 'e', metadata: { model: 'm' } })).data).toMatchObject({ reward: 1, done: true });
  expect((await ask('step', { message: 'e' })).data.message).toContain('The episode is over');
  expect((await ask('step', { text: 'e' })).data).toMatchObject({ code: 'VALIDATION_ERROR', errors: [{}] });
  expect((await ask('fly')).data.code).toBe('UNKNOWN_TYPE');
  socket.send('nonsense');
  expect((await next()).data.code).toBe('INVALID_JSON');
  for (const [message, why] of Object.entries({ crash: 'out of ink', nan: 'got NaN', hang: 'took more than 0.2 s' })) {
    await ask('reset');
    expect((await ask('step', { message })).data).toMatchObject({ code: 'EXECUTION_ERROR' });
    expect((await ask('reset')).type, why).toBe('observation');
  }
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.send(JSON.stringify({ type: 'close' }));
  await closed;
});

it('has a room for so many sessions, and none for pages of others', async () => {
  const server = await serveEnvironment(letters, { port: 0, sessions: 2 });
  onTestFinished(() => server.close());
  const both = [await session(server), await session(server)];
  const third = await session(server);
  expect((await third.next()).data.code).toBe('CAPACITY_REACHED');
  both[0].socket.close();
  await eventually(async () => {
    const { socket, ask } = await session(server);
    const { type } = await ask('reset');
    socket.close();
    expect(type).toBe('observation'); // there is room again
  });
  await expect(session(server, { origin: 'http://evil.example' })).rejects.toThrow('403');
  expect(await (await fetch(`${server.url}/health`)).json()).toEqual({ status: 'healthy' });
  expect((await fetch(`${server.url}/reset`, { method: 'POST' })).status).toBe(404);
});

it('is played by heed itself, with tools', async () => {
  const tasks = await openOpenEnv(calculator.url, { needsReward: true });
  using environment = tasks.make() as ReturnType<typeof tasks.make> & Disposable;
  expect(await environment.reset({ seed: 0 }, 0, signal)).toEqual([{ role: 'user', content: '1 + 2' }]);
  expect(environment.tools!.map(({ function: { name } }) => name)).toEqual(['add']);
  const call: PolicyTurn['calls'][number] = {
    id: 'call_1',
    type: 'function',
    function: { name: 'add', arguments: '{"a": 1, "b": 2}' },
  };
  expect(await environment.step({ text: '', calls: [call], ended: true }, signal)).toEqual({
    reward: 0,
    done: false,
    messages: [{ role: 'tool', tool_call_id: 'call_1', name: 'add', content: '3' }],
  });
  expect(await environment.step({ text: '3', calls: [], ended: true }, signal)).toEqual({ reward: 1, done: true });
});

it("takes OpenEnv's actions for tools, and calls in the text", async () => {
  const { socket, ask } = await session(calculator);
  await ask('reset');
  const { data: listed } = await ask('step', { type: 'list_tools' });
  expect(listed.observation.tools).toMatchObject([{ name: 'add', input_schema: { type: 'object' } }]);
  const called = await ask('step', { type: 'call_tool', tool_name: 'add', arguments: { a: 2, b: 2 } });
  expect(called.data.observation).toEqual({ tool_name: 'add', result: '4', error: null });
  const missing = await ask('step', { type: 'call_tool', tool_name: 'subtract' });
  expect(missing.data.observation.error).toMatchObject({ error_type: 'tool_not_found' });
  const message = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 1}}</tool_call>';
  expect((await ask('step', { message })).data.observation.text).toBe('2');
  expect((await ask('step', { message: '3' })).data).toMatchObject({ reward: 1, done: true });
  socket.close();
});
