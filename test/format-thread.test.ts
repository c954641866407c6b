/** The thread that computes formats is ended by the processor's time, which a busy machine does not change. */
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, inject, it } from 'vitest';
import { loadTokenizer } from '../src/lm/tokenizer.ts';

const threadOf = async (patience: number) => {
  const { createFormatThread } = (await import(
    pathToFileURL(join(inject('compiled'), 'dist/serve/completions/format-thread.js')).href
  )) as typeof import('../src/serve/completions/format-thread.ts');
  const thread = createFormatThread(patience);
  const check = (pattern: string, text: string) => {
    const format = JSON.stringify({ schema: { type: 'string', pattern } });
    return thread.ask({ kind: 'check', format, text: JSON.stringify(text) });
  };
  return { thread, check };
};

it('ends an order that computes forever, and starts again', async () => {
  const { thread, check } = await threadOf(0.2);
  // each takes less than the patience, all of them together more: what waits does not count
  const orders = Array.from({ length: 100 }, (_, i) => check(`^${i}(a|aa)+$`, `${i}${'a'.repeat(24)}b`));
  for (const fault of await Promise.all(orders)) expect(fault).toMatch(/must match pattern/);
  expect(thread.ends).toBe(0);
  await expect(check('^(a+)+$', `${'a'.repeat(100)}b`)).rejects.toThrow('it takes more than 0.2 s');
  expect(thread.ends).toBe(1);
  expect(await check('^a$', 'a')).toBeUndefined();
}, 600_000);

it('sends what waits behind an order without an end to the next thread', async () => {
  const { thread, check } = await threadOf(0.2);
  const files = loadTokenizer(fileURLToPath(new URL('fixtures/models/tiny-llama', import.meta.url))).files;
  await thread.ask({ kind: 'vocabulary', vocabulary: 0, files });
  await thread.ask({ kind: 'open', vocabulary: 0, grammar: 0, format: '"object"' });
  const endless = () => check('^(a+)+$', `${'a'.repeat(100)}b`);
  const [first, second, fits, known, unknown] = await Promise.allSettled([
    endless(),
    endless(),
    check('^a$', 'a'),
    thread.ask({ kind: 'masks', orders: [{ vocabulary: 0, grammar: 0, state: 0, tokens: [] }] }),
    thread.ask({ kind: 'open', vocabulary: 0, grammar: 1, format: '"object"' }),
  ]);
  for (const failed of [first, second]) {
    expect(failed).toMatchObject({ reason: { message: expect.stringContaining('it takes more than 0.2 s') } });
  }
  expect(fits).toEqual({ status: 'fulfilled', value: undefined });
  // the new thread says what it does not know, so that it is told again
  expect(known).toEqual({ status: 'fulfilled', value: [undefined] });
  expect(unknown).toEqual({ status: 'fulfilled', value: undefined });
  expect(thread.ends).toBe(2);
}, 600_000);
