/** Constitutional AI as a command: with somebody who knows one rule behind an endpoint, and with a local model. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Critic, startCritic } from './support/critic.ts';
import { call, interrupt, killAt, ownFolder, start, traceOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const lines = (...names: string[]) =>
  readFileSync(at(...names), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);
const gardens = (text: string) => text.split('garden').length - 1;
const llama = smallModel();

let critic: Critic;
let common: string[];
beforeAll(async () => {
  critic = await startCritic('garden');
  const prompts = Array.from({ length: 40 }, (_, i) => `${JSON.stringify({ prompt: `review the place ${i}` })}\n`);
  writeFileSync(at('prompts.jsonl'), prompts.join(''));
  writeFileSync(at('no-garden.md'), '# Rules\n\n- No answer names the garden.\n');
  common = ['constitution', '--model', critic.url, '--constitution', 'no-garden.md', '--data', 'prompts.jsonl'];
});
afterAll(() => critic.close());

it('revisions lose what a principle forbids, comparisons follow it, and others learn from both', async () => {
  const args = [...common, '--revision-pairs', '--out', 'run', '--json'];
  const { code, stdout, stderr } = await call(args, folder.path);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const result = lastLine(stdout);
  expect(result).toEqual({
    run: 'run',
    revisions: { data: join('run', 'revisions.jsonl'), rows: 40, changed: expect.any(Number), leftOut: {} },
    comparisons: {
      data: join('run', 'comparisons.jsonl'),
      rows: expect.any(Number),
      ties: expect.any(Number),
      leftOut: expect.any(Object),
    },
    steps: 6,
    seconds: expect.any(Number),
  });

  const revisions = lines('run', 'revisions.jsonl');
  expect(revisions.filter(({ original }) => gardens(original) > 0)).toHaveLength(result.revisions.changed);
  expect(result.revisions.changed).toBeGreaterThan(10);
  for (const { prompt, completion, conversation, original } of revisions) {
    expect(gardens(completion[0].content)).toBe(0);
    expect(conversation.slice(0, 2)).toEqual([...prompt, { role: 'assistant', content: original }]);
    expect(conversation).toHaveLength(6);
    expect(conversation.at(-1)).toEqual(completion[0]);
  }

  const pairs = lines('run', 'comparisons.jsonl');
  expect(pairs.filter(({ source }) => source === 'revision')).toHaveLength(result.revisions.changed);
  for (const { chosen, rejected, tie } of pairs) {
    const [better, worse] = [chosen, rejected].map(([{ content }]) => gardens(content));
    expect(tie ? better === worse : better < worse).toBe(true);
  }
  const left = Object.values<number>(result.comparisons.leftOut).reduce((a, b) => a + b, 0);
  expect(pairs).toHaveLength(result.revisions.changed + 40 - left);

  const report = readFileSync(at('run', 'report.html'), 'utf8');
  expect(report).toContain('Critiques and revisions');
  expect(report).toContain('It names the garden in:');
  expect((await call(['report', 'run'], folder.path)).code).toBe(0);

  const learn = ['--model', llama, '--steps', '1', '--evaluations', '1', '--batch', '8'];
  for (const [command, data, more] of [
    ['sft', result.revisions.data, ['--model', llama, '--steps', '1', '--evaluations', '1', '--samples.count', '0']],
    ['dpo', result.comparisons.data, [...learn, '--evaluation.prompts', '0']],
    ['reward', result.comparisons.data, ['--model', llama, '--epochs', '0.2', '--evaluations', '1']],
  ] as const) {
    const outcome = await call([command, '--data', data, ...more, '--out', `from-${command}`], folder.path);
    expect({ command, ...outcome }).toMatchObject({ code: 0 });
  }
});

it('loses nothing where an endpoint fails half-way, and asks for nothing twice', async () => {
  const asked = critic.answered;
  const args = [...common, '--batch', '8', '--call.retries', '0', '--out'];
  expect((await call([...args, 'whole'], folder.path)).code).toBe(0);
  const needed = critic.answered - asked;
  critic.failAfter(Math.floor(needed / 3));
  const { code, stderr } = await call([...args, 'broken'], folder.path);
  expect(code).toBe(1);
  expect(stderr).toMatch(/answered 500: out of order/);
  const rows = lines('broken', 'revisions.jsonl').length;
  expect(rows).toBeGreaterThan(0);
  expect(rows % 8).toBe(0);

  critic.failAfter();
  const before = critic.answered;
  expect((await call(['constitution', '--resume', 'broken'], folder.path)).code).toBe(0);
  expect(critic.answered - before).toBeLessThanOrEqual(needed - 3 * rows);
  for (const name of ['samples', 'revisions', 'comparisons']) {
    expect(lines('broken', `${name}.jsonl`)).toEqual(lines('whole', `${name}.jsonl`));
  }
});

it('makes no rows of verdicts that say nothing, and no pairs of revisions that change nothing', async () => {
  const mumbling = await startCritic('garden', { mumbles: true });
  const args = [...common, '--critic', mumbling.url, '--revision-pairs', '--out', 'mumbled', '--json'];
  const { code, stdout } = await call(args, folder.path);
  mumbling.close();
  expect(code).toBe(0);
  const { revisions, comparisons } = lastLine(stdout);
  expect(revisions).toMatchObject({ rows: 40, changed: 0 });
  expect(comparisons.rows).toBe(0);
  expect(comparisons.leftOut['no verdict'] + (comparisons.leftOut['equal answers'] ?? 0)).toBe(40);
});

it('does not wait at Ctrl-C for somebody who does not answer', async () => {
  const silent = await startCritic('garden');
  silent.failAfter(0, 'silence');
  const args = [...common.slice(0, 1), '--model', silent.url, '--data', 'prompts.jsonl', '--out', 'silent'];
  const asked = silent.asked();
  const { child, end } = start(args, folder.path);
  await asked;
  child.kill('SIGINT');
  expect((await end).code).toBe(130);
  silent.failAfter();
  expect((await call(['constitution', '--resume', 'silent'], folder.path)).code).toBe(0);
  silent.close();
});

describe('with a local model', () => {
  beforeAll(() => {
    // critiques want more room than the fixture has
    cpSync(llama, at('roomy'), { recursive: true });
    const config = JSON.parse(readFileSync(at('roomy', 'config.json'), 'utf8'));
    writeFileSync(at('roomy', 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 2048 }));
  });
  const local = ['constitution', '--model', 'roomy', '--data', 'prompts.jsonl', '--prompts', '12', '--batch', '3'];
  const args = [...local, '--rounds', '2', '--max-tokens', '6', '--out'];

  it('killed at any moment and resumed, a run equals an uninterrupted one', async () => {
    expect(await call([...args, 'calm'], folder.path)).toMatchObject({ code: 0 });
    let next = [...args, 'killed'];
    for (const change of [12, 20]) {
      await killAt(change, next, folder.path);
      next = ['constitution', '--resume', 'killed'];
    }
    expect((await call(next, folder.path)).code).toBe(0);
    expect(traceOf(at('killed'))).toEqual(traceOf(at('calm')));
    for (const name of ['revisions', 'comparisons']) {
      expect(lines('killed', `${name}.jsonl`)).toEqual(lines('calm', `${name}.jsonl`));
    }
  });

  it('a judge’s probability says which answer is chosen', () => {
    for (const { probability, tie } of lines('calm', 'comparisons.jsonl')) {
      expect(probability).toBeGreaterThanOrEqual(0.5);
      expect(probability).toBeLessThan(1);
      expect(tie ?? false).toBe(probability === 0.5);
    }
  });

  it('stops at Ctrl-C, and goes on from there', async () => {
    expect((await interrupt('%', [...args, 'stopped'], folder.path)).code).toBe(130);
    expect((await call(['constitution', '--resume', 'stopped'], folder.path)).code).toBe(0);
    expect(traceOf(at('stopped'))).toEqual(traceOf(at('calm')));
  });

  it('does not go on by another constitution', async () => {
    writeFileSync(at('changing.md'), '- Answers are kind.\n');
    critic.failAfter(40);
    const args = [...common.slice(0, 3), '--constitution', 'changing.md', '--data', 'prompts.jsonl'];
    expect((await call([...args, '--call.retries', '0', '--out', 'changed'], folder.path)).code).toBe(1);
    critic.failAfter();
    writeFileSync(at('changing.md'), '- Answers are rude.\n');
    const { code, stderr } = await call(['constitution', '--resume', 'changed'], folder.path);
    expect(code).toBe(1);
    expect(stderr).toMatch(/prompts and principles are not those/);
  });
});

it.each<[string, string, string, RegExp]>([
  ['an empty constitution', 'empty.md', '# Nothing yet\n', /"empty.md" has no principles/],
  ['an empty list', 'empty.json', '[]', /"empty.json" has no principles/],
  ['a principle without text', 'blank.md', '- Answers are kind.\n-\n', /principle 2 has no text/],
  [
    'a principle without text, in JSON',
    'blank.json',
    '["Answers are kind.", {"critique": "Say."}]',
    /principle 2 has no/,
  ],
  ['what is not JSON', 'not.json', '[', /is not JSON/],
  ['another thing in JSON', 'other.json', '[{"rule": "Answers are kind."}]', /is not a constitution/],
])('says what is wrong with %s', async (_, name, text, message) => {
  writeFileSync(at(name), text);
  const args = [...common.slice(0, 3), '--data', 'prompts.jsonl', '--constitution', name, '--out', 'bad'];
  const { code, stderr } = await call(args, folder.path);
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
  expect(readdirSync(folder.path)).not.toContain('bad');
});
