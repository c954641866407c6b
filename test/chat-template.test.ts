/** Messages for a base model, whose tokenizer has no chat template: every command writes them by one, and models carry it on. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { call, ownFolder } from './support/heed.ts';

const folder = ownFolder();

/** A model without a template. */
function baseModel(): string {
  const base = join(folder.path, 'base');
  cpSync(resolve(import.meta.dirname, 'fixtures', 'models', 'tiny-llama'), base, { recursive: true });
  const path = join(base, 'tokenizer_config.json');
  rmSync(join(base, 'chat_template.jinja'));
  const { chat_template: _, ...config } = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify(config));
  return base;
}

const write = (name: string, rows: readonly unknown[]): string => {
  writeFileSync(join(folder.path, name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return name;
};

it('are learned, compared and answered by one template, which the models carry', async () => {
  const base = baseModel();
  const run = async (...args: string[]) => {
    const { code, stderr } = await call([...args, '--evaluations', '0', '--json'], folder.path);
    expect(code, stderr).toBe(0);
    return stderr;
  };
  const names = ['one', 'two', 'three', 'four'];
  const talks = names.map((name) => ({
    messages: [
      { role: 'user', content: `Hello ${name}` },
      { role: 'assistant', content: `hi ${name}` },
    ],
  }));
  // as Anthropic's are published
  const compared = names.map((name) => ({
    chosen: `\n\nHuman: Hello ${name}\n\nAssistant: hi ${name}`,
    rejected: `\n\nHuman: Hello ${name}\n\nAssistant: go away ${name}`,
  }));
  const sft = ['sft', '--model', base, '--data', write('talks.jsonl', talks), '--steps', '1', '--samples.count', '0'];
  expect(await run(...sft, '--out', 'sft')).toContain('"plain"');
  expect(existsSync(join(base, 'chat_template.jinja'))).toBe(false);
  const template = readFileSync(join(folder.path, 'sft', 'model', 'chat_template.jinja'), 'utf8');
  expect(template).toContain('User');

  const pairs = ['--data', write('pairs.jsonl', compared), '--epochs', '1', '--out'];
  expect(await run('reward', '--model', 'sft/model', ...pairs, 'reward')).not.toContain('no chat template');
  expect(readFileSync(join(folder.path, 'reward', 'model', 'chat_template.jinja'), 'utf8')).toBe(template);
  await run('dpo', '--model', base, '--chat-template', 'human', '--evaluation.prompts', '0', ...pairs, 'dpo');
  expect(readFileSync(join(folder.path, 'dpo', 'model', 'chat_template.jinja'), 'utf8')).toContain('Human');

  const asked = ['--prompt', 'Hello', '--chat', '--max-tokens', '2', '--json'];
  const answer = await call(['generate', '--model', 'sft/model', ...asked], folder.path);
  expect([answer.code, answer.stderr]).toEqual([0, expect.not.stringContaining('no chat template')]);
});

it('are refused where there is no such template', async () => {
  const { code, stderr } = await call(
    ['generate', '--model', baseModel(), '--prompt', 'Hi', '--chat', '--chat-template', 'nonsense'],
    folder.path,
  );
  expect(code).toBe(1);
  expect(stderr).toContain('There is no chat template "nonsense"');
  expect(stderr).toContain('Set --chat-template to one of plain, human, chatml');
});
