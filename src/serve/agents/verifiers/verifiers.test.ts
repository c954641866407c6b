/** Environments of the package verifiers: what its own code plays, and what happens when it fails. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { lateAfter } from '../../../../test/support/episodes.ts';
import { smallModel, take } from '../../../../test/support/training.ts';
import type { AgentTasks } from '../../../align/agents/environment.ts';
import { episodeSchema } from '../../../align/agents/episode.ts';
import { evaluateTasks } from '../../../align/agents/evaluate.ts';
import { createEpisodeDraw } from '../../../align/agents/rollouts.ts';
import { createGrpo } from '../../../align/policy-gradient/grpo.ts';
import { createLanguagePpo } from '../../../align/ppo/learner.ts';
import { createLanguagePolicy } from '../../../align/training/policy.ts';
import { withChatTemplate } from '../../../lm/built-in-templates.ts';
import { loadModel } from '../../../lm/model.ts';
import { openVerifiers } from './verifiers.ts';
import { createVerifiersWorker } from './worker.ts';

const fixtures = fileURLToPath(new URL('../../../../test/fixtures/verifiers', import.meta.url));
const python = process.env.HEED_PYTHON;
const has = (program: string, ...args: string[]) => {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const isAlive = (pid: number) => {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
};
const hasPython = has('python3', '--version');
const hasPackage = python !== undefined && has(python, '-c', 'import verifiers; verifiers.load_environment');

const tiny = smallModel();
const model = await loadModel(tiny);
model.tokenizer = withChatTemplate(model.tokenizer, { chatTemplate: 'plain' });
const policy = createLanguagePolicy(model, { lora: { rank: 0 } as never, seed: 0 });
const folder = mkdtempSync(join(tmpdir(), 'heed-verifiers-'));
const closing: (() => void)[] = [];
afterAll(() => {
  for (const close of closing) close();
  rmSync(folder, { recursive: true, force: true });
});

/** A program in the folder of this test. */
const program = (name: string, source: string) => {
  writeFileSync(join(folder, name), source);
  chmodSync(join(folder, name), 0o755);
  return join(folder, name);
};

/** An episode of each task, or those of several draws. */
async function play(environment: AgentTasks, { seconds = 240, turns = 4, draws = 1, tokens = 200 } = {}) {
  const episode = episodeSchema.parse({ turns, tokens, seconds });
  const drawing = { ...episode, environment, maxTokens: 6, temperature: 1, batch: 8, suppress: [] };
  const draw = createEpisodeDraw(policy, drawing);
  const tasks = environment.tasks.map((row) => ({ row }));
  try {
    const episodes = [];
    for (let seed = 0; seed < draws; seed++) {
      episodes.push(...(await draw.draw(tasks, seed)).map(({ completion }) => completion));
    }
    return episodes;
  } finally {
    draw[Symbol.dispose]();
  }
}

/** A server of OpenAI's API that answers with messages or refusals, one after another. */
async function scripted(messages: { refused?: string; [other: string]: unknown }[]) {
  const requests: { messages: { content: string }[]; tools: { function: object }[] }[] = [];
  const server = createServer(async (request, response) => {
    requests.push(JSON.parse(await text(request)));
    const { refused, ...rest } = messages.shift()!;
    const message = { role: 'assistant', ...rest };
    response.setHeader('content-type', 'application/json');
    if (refused !== undefined) {
      response.statusCode = 400;
      response.end(JSON.stringify({ error: { message: refused } }));
      return;
    }
    response.end(
      JSON.stringify({
        id: 'a',
        object: 'chat.completion',
        created: 0,
        model: 'policy',
        choices: [{ index: 0, finish_reason: 'stop', message }],
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/v1`, requests };
}

describe.skipIf(!hasPackage)(
  'environments of the package (HEED_PYTHON with verifiers) (needs the Python clients)',
  () => {
    const file = (name: string) => `${join(fixtures, name)}.py`;

    it('plays those of one turn, with the reward and its parts', async () => {
      const env = await openVerifiers(`${file('letters')}?letters=ea`, { python });
      expect(env.tasks).toMatchObject([
        { id: 'train/0', question: 'Write e.', answer: 'e', prompt: [{ role: 'user', content: 'Write e.' }] },
        { id: 'train/1', answer: 'a' },
      ]);
      expect(env.heldOut).toMatchObject([{ id: 'eval/0' }, { id: 'eval/1' }]);
      const [first] = await play(env);
      expect(first.promptText).toBe('Write e.');
      const { text } = first;
      expect(first.episode).toMatchObject({
        turns: 1,
        calls: 0,
        faultyCalls: 0,
        parts: { share: first.episode!.reward, length: text.length, num_turns: 1 },
      });
      expect(first.episode!.reward).toBeCloseTo((text.match(/e/g) ?? []).length / text.length);
      expect(first.episode!.failure).toBeUndefined();
    });

    it('names a reward that fails or is no number, and an environment that cannot be loaded', async () => {
      const failing = async (fault: string) =>
        play(await openVerifiers(`${file('letters')}?fault=${fault}`, { python }));
      await expect(failing('raise')).rejects.toThrow(
        'of task train/0: the reward function "share" failed: LookupError: out of paper (letters.py, line 11 in share)',
      );
      await expect(failing('nan')).rejects.toThrow('expected a finite number as reward, got nan (share: nan, length:');
      await expect(failing('x&more=1')).rejects.toThrow(
        "cannot be loaded: TypeError: load_environment() got an unexpected keyword argument 'more'",
      );
    });

    it('plays those with tools, and counts calls that fail', async () => {
      const worker = createVerifiersWorker(python!, { id: file('adding'), arguments: {} });
      const { tasks, heldOut } = await worker.ready();
      expect([tasks.length, heldOut.length]).toEqual([4, 0]);
      const call = (id: number, a: unknown) => ({
        id: `call_${id}`,
        type: 'function',
        function: { name: 'add', arguments: JSON.stringify({ a, b: 3 }) },
      });
      const { url, requests } = await scripted([
        { content: null, tool_calls: [call(1, 1), call(2, 100)] },
        { content: '4' },
        { content: null, tool_calls: [call(1, 1)] },
        { content: '' },
        { content: null, tool_calls: [call(1, 1)] },
        { refused: "The conversation has 140 tokens, more than the episode's context length of 120." },
        { refused: 'no more' },
      ]);
      const run = { task: tasks[0], baseUrl: url, episode: 'a', signal: new AbortController().signal };
      const end = await worker.play(run, 3);
      expect(end).toEqual({
        reward: 1,
        faultyCalls: 1,
        parts: { right: 1, num_turns: 2, total_tool_calls: 2, add_calls: 2 },
      });
      expect(requests[0].tools[0].function).toMatchObject({ name: 'add', description: 'Adds two whole numbers.' });
      const results = requests[1].messages.slice(-2).map(({ content }: { content: string }) => content);
      expect(results).toEqual(['4', 'too large']);
      // the most turns are those of the training, and a policy that writes nothing is no failure
      expect(await worker.play(run, 1)).toMatchObject({ reward: 0, parts: { num_turns: 1 } });
      expect(await worker.play(run, 1)).toMatchObject({ reward: 0 });
      // a conversation that outgrows its limit is scored as it is; other refusals are failures
      expect(await worker.play(run, 3)).toMatchObject({ reward: 0, parts: { num_turns: 1 } });
      expect(await worker.play(run, 3)).toMatchObject({
        failure: expect.stringMatching(/the environment failed.*no more/),
      });
      worker[Symbol.dispose]();
    });

    it('learns by GRPO', async () => {
      const env = await openVerifiers(file('letters'), { python });
      const options = {
        model: tiny,
        chatTemplate: 'plain',
        env,
        steps: 8,
        batch: 1,
        completions: 8,
        maxTokens: 8,
        learningRate: 0.03,
        beta: 1e-4,
        maxKl: 0,
        evaluations: 0,
        episode: { turns: 4, tokens: 120, seconds: 240 },
      };
      const { model, chatTemplate, episode } = options;
      await expect(createLanguagePpo({ model, chatTemplate, env, episode })).rejects.toThrow(
        'PPO does not train agents',
      );
      const learner = await createGrpo(options);
      const steps = await take(learner, 8);
      learner[Symbol.dispose]();
      expect(steps.map(({ done }) => done)).toEqual([...new Array(7).fill(false), true]);
      const rows = steps.map(({ metrics }) => metrics);
      expect(rows[0]).toMatchObject({ 'episode/turns': 1, 'episode/failed': 0 });
      expect(rows[0]['policy/kl_k3']).toBeLessThan(1e-6);
      expect(rows[0]['episode/parts/share']).toBeCloseTo(rows[0]['episode/reward']);
      expect(rows.at(-1)!['episode/reward']).toBeGreaterThan(rows[0]['episode/reward'] + 0.08);
    });
  },
);

it('says what is missing', async () => {
  await expect(openVerifiers('any', { python: '/no/such/python' })).rejects.toMatchObject({
    message: expect.stringContaining('cannot start Python with "/no/such/python"'),
    hint: expect.stringContaining('HEED_PYTHON'),
  });
});

describe.skipIf(!hasPython)('the protocol, with a stand-in for the package (needs Python 3)', () => {
  const plain = program('plain', `#!/bin/sh\nPYTHONPATH='${join(fixtures, 'standin')}' exec python3 "$@"\n`);
  const faulty = (tasks: string[], mark = '', notice = 240_000) =>
    openVerifiers(`faulty?tasks=${JSON.stringify(tasks)}&mark=${mark}`, {
      python: plain,
      limits: { notice, lastWords: 240_000 },
    });
  const failures = (episodes: Awaited<ReturnType<typeof play>>) => episodes.map(({ episode }) => episode!.failure);

  it('contains episodes that fail', async () => {
    const env = await faulty(['play', 'raise', 'nan', 'wait']);
    expect(env.tasks[1]).toEqual({ id: 'train/1', do: 'raise', nothing: null });
    const played = await play(lateAfter(3, env), { seconds: 0.5 });
    expect(played[0].episode).toMatchObject({ reward: 0.5, parts: { length: played[0].text.length } });
    const { metrics } = await evaluateTasks(model, await faulty(['play', 'nan']), { episode: { seconds: 240 } });
    expect(metrics).toMatchObject({
      'episode/reward': 0.25,
      'episode/failed': 0.5,
    });
    const [none, raised, nan, waited] = failures(played);
    expect(none).toBeUndefined();
    expect(raised).toMatch(/^LookupError: out of paper \(faulty\.py, line \d+ in run_rollout\)$/);
    expect(nan).toMatch(/^expected a finite number as reward, got nan \(length: \d/);
    expect(waited).toBe('the environment took more than 0.5 s without a call of its model');
  });

  it('replaces a process that dies', async () => {
    const dying = await play(await faulty(['die once', 'play'], join(folder, 'died')), { draws: 2 });
    expect(failures(dying)).toEqual([undefined, undefined, undefined, undefined]);
    // alone: another episode could die with each process, or print in the last one
    const dead = 'the Python process died (exit code 3); its last output:\nan environment may print\nthis is the end';
    await expect(play(await faulty(['die']))).rejects.toMatchObject({
      message: `The environment "verifiers:faulty?tasks=["die"]&mark=" failed in all 1 episodes. The first, of task train/0: ${dead}`,
    });
  });

  it('replaces a process that an environment blocks', async () => {
    const mark = join(folder, 'blocked');
    const env = await faulty(['block', 'play', 'play'], mark, 200);
    // time passes only while a process is blocked: nothing else is late
    const clock = () => (existsSync(mark) && isAlive(Number(readFileSync(mark, 'utf8'))) ? performance.now() : 0);
    const timed: AgentTasks = { ...env, player: (policy) => env.player({ ...policy, clock }) };
    const blocked = expect.stringMatching(
      /^the environment blocked its Python process in faulty\.py, line \d+ in run_rollout$/,
    );
    const played = await play(timed, { draws: 2, seconds: 0.5 });
    expect(failures(played)).toEqual([blocked, undefined, undefined, blocked, undefined, undefined]);
  });

  it('says that an environment is missing, and names those near it', async () => {
    await expect(openVerifiers('falty', { python: plain })).rejects.toMatchObject({
      message: expect.stringMatching(/there is no environment "falty" in .*python/),
      hint: 'Near it: faulty.',
    });
    await expect(openVerifiers('faulty?tsks=[]', { python: plain })).rejects.toMatchObject({
      message: expect.stringContaining("unexpected keyword argument 'tsks'"),
      hint: 'Its load_environment takes tasks, mark.',
    });
    await expect(openVerifiers('./falty.py', { python: plain })).rejects.toThrow('there is no file ./falty.py');
    await expect(openVerifiers('faulty?tasks=die', { python: plain })).rejects.toThrow(
      'the Python process died (exit code 4) before it was ready',
    );
    const tasks = { name: 'tasks.jsonl', rows: [{ id: 1 }] };
    await expect(openVerifiers('faulty', { python: plain, tasks })).rejects.toThrow('--tasks does not go together');
  });
});

it.skipIf(!hasPython)('says that the package is missing (needs Python 3)', async () => {
  const bare = program('python', '#!/bin/sh\nexec python3 -S "$@"\n'); // without the packages that are installed
  await expect(openVerifiers('any', { python: bare })).rejects.toMatchObject({
    message: expect.stringMatching(/has no package verifiers\.$/),
    hint: expect.stringMatching(/python[\d.]* -m pip install 'verifiers/),
  });
});
