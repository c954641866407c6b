/** Commands that use a language model, on tiny ones and on a real one. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runtime } from '../src/engine/runtime/current.ts';
import { call, heedPath, ownFolder } from './support/heed.ts';

const folder = ownFolder();
const root = fileURLToPath(new URL('..', import.meta.url));
const tiny = join(root, 'test', 'fixtures', 'models', 'tiny-llama');
const stories = resolve(root, '..', 'shared', 'models', 'stories260k');

const heed = (args: readonly string[]) => call(args, folder.path);

async function json(...args: string[]) {
  const { code, stdout, stderr } = await heed([...args, '--json']);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

/** `heed chat`, which reads its standard input: a process of its own. */
function talkTo(model: string, lines: readonly string[], ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [heedPath(), 'chat', '--model', model, ...args], {
    cwd: folder.path,
    input: lines.map((line) => `${line}\n`).join(''),
    encoding: 'utf8',
    env: { ...process.env, HEED_THREADS: '1' },
  });
  return { code: status, stdout, stderr };
}

describe('heed generate', () => {
  it('answers prompts, the same by the same seed, each as if it were alone', async () => {
    const few = ['--model', tiny, '--max-tokens', '6', '--seed', '3'];
    const both = await json('generate', ...few, '--prompt', 'one', '--prompt', 'another one');
    expect(Object.keys(both)).toEqual(['completions']);
    expect(both.completions).toHaveLength(2);
    for (const { ids, logprobs, finish, text } of both.completions) {
      expect(ids.length).toBe(logprobs.length);
      expect(finish).toBe(ids.length === 6 ? 'length' : 'eos');
      expect(typeof text).toBe('string');
    }
    const alone = await json('generate', ...few, '--prompt', 'one');
    expect(alone.completions[0].ids).toEqual(both.completions[0].ids);
    const rounded = await json('generate', ...few, '--prompt', 'one', '--bits', '8');
    expect(rounded.completions[0].logprobs).not.toEqual(alone.completions[0].logprobs);
    const otherwise = await json('generate', ...few, '--prompt', 'one', '--seed', '4');
    expect(otherwise.completions[0].ids).not.toEqual(alone.completions[0].ids);
  });

  it('computes in bf16, or says what this machine lacks', async () => {
    const args = ['generate', '--model', tiny, '--prompt', 'one', '--max-tokens', '6', '--temperature', '0'];
    const { code, stdout, stderr } = await heed([...args, '--precision', 'bf16', '--json']);
    if (!runtime().bf16!().works) {
      expect(code).toBe(1);
      expect(stderr).toMatch(/precision bf16: .*\n.*--precision fp32/);
      return;
    }
    const [completion] = JSON.parse(stdout).completions;
    const [exact] = (await json(...args)).completions;
    expect(completion.logprobs[0]).toBeCloseTo(exact.logprobs[0], 1);
    expect(completion.logprobs[0]).not.toBe(exact.logprobs[0]);
  });

  it('answers the prompts of a dataset, of text and of messages, and streams a single one', async () => {
    const data = join(folder.path, 'prompts.jsonl');
    const chat = [{ role: 'user', content: 'hello' }];
    writeFileSync(data, `${JSON.stringify({ prompt: chat })}\n`.repeat(2));
    const asData = await json('generate', '--model', tiny, '--data', data, '--temperature', '0', '--max-tokens', '5');
    expect(asData.completions.map(({ prompt }: { prompt: unknown }) => prompt)).toEqual([chat, chat]);
    const args = ['--model', tiny, '--prompt', 'hello', '--chat', '--temperature', '0', '--max-tokens', '5'];
    const asFlag = await json('generate', ...args);
    expect(asFlag.completions[0]).toEqual(asData.completions[0]);
    const { stdout } = await heed(['generate', ...args]);
    expect(stdout).toBe(`${asFlag.completions[0].text}\n`);
  });

  it('guesses with a draft model or from the text, and writes the same', async () => {
    const args = ['generate', '--model', tiny, '--prompt', 'one one', '--temperature', '0', '--max-tokens', '30'];
    const { ids } = (await json(...args)).completions[0];
    for (const flags of [
      ['--draft', tiny, '--guesses', '3'],
      ['--lookup', '2'],
    ]) {
      const { completions, speculation } = await json(...args, ...flags);
      expect(completions[0].ids).toEqual(ids);
      expect(speculation).toMatchObject(completions[0].speculation);
      expect(speculation.tokensPerPass).toBeCloseTo(30 / speculation.passes, 5);
      expect(speculation.acceptance).toBeCloseTo(speculation.accepted / speculation.guessed, 5);
      if (flags[0] === '--draft') expect(speculation.acceptance).toBe(1);
    }
    const { code, stderr } = await heed([...args, '--draft', 'reviews-base']);
    expect(code).toBe(1);
    expect(stderr).toContain('a different tokenizer');
  });

  it.each<[string, string[], ...string[]]>([
    ['nothing to answer', [], '--prompt or --data'],
    ['a system message without a chat', ['--prompt', 'x', '--system', 'y'], '--chat'],
    ['an impossible temperature', ['--prompt', 'x', '--temperature', '-1'], '--temperature', 'not below 0', 'got -1'],
    ['bits there are none of', ['--prompt', 'x', '--bits', '5'], '--bits', '8 or 4', '"5"'],
    ['bits in bf16', ['--prompt', 'x', '--bits', '8', '--precision', 'bf16'], '--bits and --precision bf16'],
    ['two sources of guesses', ['--prompt', 'x', '--draft', tiny, '--lookup', '2'], '--draft and --lookup'],
    ['no token to come', ['--prompt', 'x', '--max-tokens', '0'], '--max-tokens', 'not below 1', 'got 0'],
  ])('refuses %s', async (_name, args, ...expected) => {
    const { code, stdout, stderr } = await heed(['generate', '--model', tiny, ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    for (const text of expected) expect(stderr).toContain(text);
  });
});

describe('heed logprobs', () => {
  it('gives ids, log-probabilities and logits', async () => {
    const { ids, logprobs, logits } = await json('logprobs', '--model', tiny, '--ids', '5,6,7', '--logits');
    expect([ids, logprobs.length, logits.length, logits[0].length]).toEqual([[5, 6, 7], 2, 3, 512]);
    const sum = logits[0].reduce((total: number, logit: number) => total + Math.exp(logit), 0);
    expect(logprobs[0]).toBeCloseTo(logits[0][6] - Math.log(sum), 5);
    expect(Object.keys(await json('logprobs', '--model', tiny, '--text', 'a text'))).toEqual(['ids', 'logprobs']);
  });

  it('takes ids where the folder has no tokenizer, and says what a text needs', async () => {
    const bare = join(folder.path, 'bare');
    cpSync(tiny, bare, { recursive: true, filter: (path) => !basename(path).startsWith('tokenizer') });
    expect(await json('logprobs', '--model', bare, '--ids', '5,6,7')).toEqual(
      await json('logprobs', '--model', tiny, '--ids', '5,6,7'),
    );
    expect((await heed(['logprobs', '--model', bare, '--ids', '5,6'])).stdout).toContain('next ');
    const { code, stderr } = await heed(['logprobs', '--model', bare, '--text', 'a text']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('has no tokenizer.json')]);
  });

  it('shows a table, and refuses what is no list of tokens', async () => {
    const { stdout } = await heed(['logprobs', '--model', tiny, '--ids', '5,6,7']);
    expect(stdout).toMatch(/^ ?id +token +log p +p +rank +likeliest\n/);
    expect(stdout).toMatch(/^sum -\d+\.\d+, mean -\d+\.\d+, perplexity \d+/m);
    expect(await heed(['logprobs', '--model', tiny, '--ids', '5,x'])).toMatchObject({ code: 2, stdout: '' });
    expect(await heed(['logprobs', '--model', tiny])).toMatchObject({ code: 2, stdout: '' });
    expect(await heed(['logprobs', '--model', tiny, '--ids', '512'])).toMatchObject({ code: 1, stdout: '' });
  });
});

describe('heed chat', () => {
  const talk = (lines: string[], ...args: string[]) => talkTo(tiny, lines, '--max-tokens', '4', ...args);

  it('remembers, forgets, is told who it is, and saves', async () => {
    const lines = [
      'hello',
      '/reset',
      '/system be brief',
      'hi',
      'again',
      '/save talk.jsonl',
      '/nonsense',
      '/quit',
      'late',
    ];
    const { code, stdout, stderr } = talk(lines, '--json');
    expect(code).toBe(0);
    const { messages } = JSON.parse(stdout);
    expect(messages.map(({ role }: { role: string }) => role)).toEqual([
      'system',
      'user',
      'assistant',
      'user',
      'assistant',
    ]);
    expect(messages[0].content).toBe('be brief');
    expect(JSON.parse(readFileSync(join(folder.path, 'talk.jsonl'), 'utf8'))).toEqual({ messages });
    expect(stderr).toContain('There is no /nonsense');
  });

  it('leaves out the oldest turns where the model cannot read them all', async () => {
    const long = 'very '.repeat(60);
    const { code, stdout } = talk([long, long, long, '/quit'], '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).messages).toHaveLength(6);
  });

  it('goes on after what it cannot do', async () => {
    const { code, stderr } = talk(['word '.repeat(2000), '/save', 'hello']);
    expect(code).toBe(0);
    expect(stderr).toMatch(/tokens, but there is room for only \d+/);
    expect(stderr).toContain('/save: expected a file');
  });
});

describe.skipIf(!existsSync(stories))('stories260k (needs the maintainers’ material)', () => {
  const { prompts } = JSON.parse(existsSync(stories) ? readFileSync(join(stories, 'expected.json'), 'utf8') : '{}');

  it('writes the text that Transformers writes', async () => {
    const texts: string[] = prompts.map(({ text }: { text: string }) => text);
    const asked = texts.flatMap((text) => ['--prompt', text]);
    const { completions } = await json(
      'generate',
      '--model',
      stories,
      ...asked,
      '--temperature',
      '0',
      '--max-tokens',
      '64',
    );
    prompts.forEach((expected: Record<string, number[] | string>, i: number) => {
      expect([...expected.input_ids, ...completions[i].ids]).toEqual(expected.greedy_ids);
      expect(completions[i].prompt + completions[i].text).toBe(expected.greedy_text);
    });
  });

  it('thinks of a text what it thinks in Transformers', async () => {
    for (const { text, input_ids, token_logprobs } of prompts.slice(0, 1)) {
      const { ids, logprobs } = await json('logprobs', '--model', stories, '--text', text);
      expect(ids).toEqual(input_ids);
      expect(logprobs).toHaveLength(token_logprobs.length);
      token_logprobs.forEach((expected: number, i: number) => {
        expect(Math.abs(logprobs[i] - expected)).toBeLessThan(1e-4);
      });
    }
  });

  it('has no chat template, says so, and talks by the plain one', async () => {
    const { code, stdout, stderr } = talkTo(stories, ['Hello'], '--max-tokens', '4', '--json');
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout).messages).toHaveLength(2);
    expect(stderr).toContain('The model has no chat template');
  });
});
