/** Agents under training: what they may do, what is learned from it, and what happens when they fail. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, type ModelMessage } from 'ai';
import OpenAI from 'openai';
import { afterAll, expect, it } from 'vitest';
import { lateAfter } from '../../../test/support/episodes.ts';
import { smallModel, take } from '../../../test/support/training.ts';
import { episodeSchema } from '../../align/agents/episode.ts';
import { createEpisodeDraw } from '../../align/agents/rollouts.ts';
import { createGrpo } from '../../align/policy-gradient/grpo.ts';
import { createLanguagePpo } from '../../align/ppo/learner.ts';
import { writtenTokens } from '../../align/reward-functions/reward-function.ts';
import { createLanguagePolicy } from '../../align/training/policy.ts';
import type { Row } from '../../data/row.ts';
import { withChatTemplate } from '../../lm/built-in-templates.ts';
import { loadModel } from '../../lm/model.ts';
import { type AgentFunction, type AgentTasksOptions, agentTasks } from './agent-tasks.ts';
import { commandFor, wordsOf } from './program.ts';

const tiny = smallModel();
const model = await loadModel(tiny);
model.tokenizer = withChatTemplate(model.tokenizer, { chatTemplate: 'plain' });
const policy = createLanguagePolicy(model, { lora: { rank: 0 } as never, seed: 0 });
const folder = mkdtempSync(join(tmpdir(), 'heed-agents-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What agents that do not hang take no longer than. */
const SECONDS = 240;

interface PlayOptions extends Partial<AgentTasksOptions> {
  seconds?: number;
  /** Episodes without a limit of time: the others are late when these have ended. */
  ended?: number;
}

/** An episode of an agent for each task. */
async function play(agent: string | AgentFunction, more: PlayOptions = {}) {
  const { tasks = [{ id: 1, question: 'Hello' }], seconds = SECONDS, ended, ...options } = more;
  const own = agentTasks({ agent, tasks, ...options });
  const environment = ended === undefined ? own : lateAfter(ended, own);
  const episode = episodeSchema.parse({ turns: 4, tokens: 120, seconds });
  const drawing = { ...episode, environment, maxTokens: 6, temperature: 1, batch: 8, suppress: [] };
  const draw = createEpisodeDraw(policy, drawing);
  try {
    return (
      await draw.draw(
        tasks.map((row) => ({ row })),
        7,
      )
    ).map(({ completion, logProbs }) => {
      expect(logProbs.length).toBe(writtenTokens(completion).length);
      return completion;
    });
  } finally {
    draw[Symbol.dispose]();
  }
}
/** A program in a file. */
const program = (name: string, source: string): string => {
  writeFileSync(join(folder, name), source);
  return join(folder, name);
};
const client = ({ baseUrl: baseURL }: { baseUrl: string }) => new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
const messages = [{ role: 'user' as const, content: 'Hello' }];

it('answers every model name, streams, keeps to the options of the training, and takes the outcome', async () => {
  const [completion] = await play(async (run) => {
    const openai = client(run);
    const stream = await openai.chat.completions.create({ model: 'gpt-4.1', messages, stream: true, max_tokens: 500 });
    const pieces: string[] = [];
    for await (const { choices } of stream) pieces.push(choices[0]?.delta.content ?? '');
    expect(pieces.length).toBeGreaterThan(1);
    const response = await openai.responses.create({ model: 'o4-mini', input: 'Hello', temperature: 0 });
    expect(response.output_text).toBeTypeOf('string');
    expect((await openai.models.list()).data.map(({ id }) => id)).toEqual(['policy']);
    const sent = await fetch(`${run.baseUrl}/feedback`, { method: 'POST', body: JSON.stringify({ rating: 'good' }) });
    expect(await sent.json()).toEqual({ object: 'outcome', reward: 1 });
  });
  expect(completion.episode).toMatchObject({ reward: 1, turns: 2, calls: 0, faultyCalls: 0 });
  expect(completion.episode!.messages).toMatchObject([{ role: 'user', content: 'Hello' }, { role: 'assistant' }]);
  expect(completion.promptText).toBe('Hello');
  expect(completion.branches?.length).toBe(1); // the same prompt twice
  expect(writtenTokens(completion).length).toBeLessThanOrEqual(12);
});

it('refuses and counts what an agent may not do, and the episode goes on', async () => {
  const [completion] = await play(
    async (run) => {
      const openai = client(run);
      const complete = (model: string, more: object = {}) =>
        openai.chat.completions.create({ model, messages, ...more });
      await expect(complete('gpt-4.1')).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
      await expect(complete('mine', { temperature: 9 })).rejects.toMatchObject({ status: 400 });
      await expect(fetch(`${run.baseUrl}/nothing`)).resolves.toMatchObject({ status: 404 });
      await expect(fetch(`${run.baseUrl.replace(run.episode, 'other')}/models`)).resolves.toMatchObject({
        status: 404,
      });
      const nan = await fetch(`${run.baseUrl}/outcome`, { method: 'POST', body: '{"reward": "high"}' });
      expect(await nan.json()).toMatchObject({ error: { param: 'reward' } });
      const long = [{ role: 'user', content: 'Hello '.repeat(200) }];
      await expect(complete('mine', { messages: long })).rejects.toMatchObject({ code: 'context_length_exceeded' });
      await Promise.all([1, 2, 3, 4].map(() => complete('mine')));
      await expect(complete('mine')).rejects.toMatchObject({ code: 'episode_turns_exceeded' });
      return 0.5;
    },
    { modelName: 'mine' },
  );
  expect(completion.episode).toMatchObject({ reward: 0.5, turns: 4, calls: 6, faultyCalls: 6 });
  expect(completion.branches?.length).toBe(3);
});

it('contains agents that fail, and says why', async () => {
  const failing = async (agent: string | AgentFunction, more: object = {}) => {
    const good: AgentFunction = async (run) => {
      await client(run).chat.completions.create({ model: 'm', messages });
      return 1;
    };
    const run: AgentFunction = (at) => ((at.task as Row).good ? good(at) : (agent as AgentFunction)(at));
    const [bad, other] = await play(run, { tasks: [{ id: 1 }, { good: true }], ...more });
    expect(other.episode).toMatchObject({ reward: 1, turns: 1 });
    expect(other.episode!.failure).toBeUndefined();
    return bad.episode;
  };
  const called: AgentFunction = (run) =>
    client(run)
      .chat.completions.create({ model: 'm', messages })
      .then(() => {});
  expect(await failing(() => Promise.reject(new Error('out of paper')))).toMatchObject({
    failure: 'out of paper',
    turns: 0,
  });
  expect((await failing(() => 1))!.failure).toBe('the agent ended without a call of its model');
  expect((await failing(called))!.failure).toBe('the agent ended without an outcome');
  expect((await failing(() => Number.NaN))!.failure).toContain('expected a finite number from the agent, got NaN');
  expect((await failing(() => new Promise(() => {}), { seconds: 0.5, ended: 1 }))!.failure).toContain(
    'took more than 0.5 s without a call of its model and had not called its model',
  );
  await expect(play(() => 1)).rejects.toThrow(
    'failed in all 1 episodes. The first, of task 1: the agent ended without a call',
  );
});

it('runs programs that know nothing of heed, and ends those that hang', async () => {
  const call = `await fetch(process.env.OPENAI_BASE_URL + '/chat/completions', { method: 'POST', body: JSON.stringify({
    model: 'x', messages: [{ role: 'user', content: process.argv[2] }] }) });`;
  const path = program(
    'agent.mjs',
    `${call}
    const task = JSON.parse(process.env.HEED_TASK);
    if (task.do === 'crash') { console.error('no more'); process.exit(3); }
    if (task.do === 'hang') setInterval(() => {}, 1000);
    else console.log('the answer of', task.id);`,
  );
  const tasks = ['print', 'crash', 'hang'].map((what, id) => ({ id, do: what }));
  const limits = { needsOutcome: false, seconds: 0.5, ended: 2 };
  const [printed, crashed, hung] = await play(`${path} {do}`, { tasks, ...limits });
  expect(printed).toMatchObject({ promptText: 'print', ended: true });
  expect(printed.episode).toMatchObject({ reward: 0, turns: 1, calls: 0, faultyCalls: 0, output: 'the answer of 0\n' });
  expect(crashed.episode!.failure).toBe('the agent exited with 3: no more');
  expect(hung.episode!.failure).toContain('took more than 0.5 s without a call of its model');
  await expect(play('/no/such/agent')).rejects.toThrow('The agent "/no/such/agent" cannot be started');
  expect(wordsOf(`python "my agent.py" --q='{a b}'`)).toEqual(['python', 'my agent.py', '--q={a b}']);
  expect(() => wordsOf('python "agent.py')).toThrow('a quote does not end');
  expect(commandFor(['run', '--q={question}', '{n}'], { question: 'a b', n: 3 })).toEqual(['run', '--q=a b', '3']);
  expect(() => commandFor(['{question}'], { id: 1 })).toThrow('has no column "question"');
});

it("learns by GRPO from the example's calls, whose history it goes on with or rewrites", async () => {
  const agent: AgentFunction = async ({ task, baseUrl }) => {
    const chat = createOpenAICompatible({ name: 'provider', baseURL: baseUrl }).chatModel('gpt-4.1-mini');
    const messages: ModelMessage[] = [{ role: 'user', content: String(task.question) }];
    const draft = await generateText({ model: chat, messages });
    messages.push(...draft.response.messages, { role: 'user', content: 'Again.' });
    const { text } = await generateText({ model: chat, messages });
    const { text: last } = await generateText({ model: chat, prompt: 'Sum up.' });
    const all = draft.text + text + last;
    return (all.match(/e/g) ?? []).length / Math.max(1, all.length);
  };
  const options = {
    model: tiny,
    chatTemplate: 'plain',
    env: agentTasks({ agent, tasks: [{ question: 'Hello' }] }),
    steps: 8,
    batch: 1,
    completions: 8,
    maxTokens: 8,
    learningRate: 0.03,
    beta: 1e-4,
    maxKl: 0,
    evaluations: 0,
    episode: { turns: 4, tokens: 120, seconds: SECONDS },
  };
  const learner = await createGrpo(options);
  const steps = await take(learner, 8);
  learner[Symbol.dispose]();
  expect(steps.map(({ done }) => done)).toEqual([...new Array(7).fill(false), true]);
  const rows = steps.map(({ metrics }) => metrics);
  expect(rows[0]).toMatchObject({ 'episode/turns': 3, 'episode/failed': 0 });
  // the generator's log-probabilities are those of the packed sequences, branches too
  expect(rows[0]['policy/kl_k3']).toBeLessThan(1e-6);
  expect(rows.at(-1)!['episode/reward']).toBeGreaterThan(rows[0]['episode/reward'] + 0.08);
  const { model, chatTemplate, env, episode } = options;
  await expect(createLanguagePpo({ model, chatTemplate, env, episode })).rejects.toThrow('PPO does not train agents');
});

it('has an example that knows nothing of heed', async () => {
  const example = fileURLToPath(new URL('../../../examples/agent.js', import.meta.url));
  const [completion] = await play(`${example} {question}`, { needsOutcome: false });
  expect(completion.episode).toMatchObject({ turns: 2, faultyCalls: 0 });
  expect(completion.branches).toBeUndefined();
});
