/** The thread that computes formats is ended by the processor's time, which a busy machine does not change. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, inject, it } from 'vitest';

it('ends an order that computes forever, and starts again', async () => {
  const { createFormatThread } = (await import(
    pathToFileURL(join(inject('compiled'), 'dist/serve/completions/format-thread.js')).href
  )) as typeof import('../src/serve/completions/format-thread.ts');
  const thread = createFormatThread(0.2);
  const check = (pattern: string, text: string) => {
    const format = JSON.stringify({ schema: { type: 'string', pattern } });
    return thread.ask({ kind: 'check', format, text: JSON.stringify(text) });
  };
  // each takes less than the patience, all of them together more: what waits does not count
  const orders = Array.from({ length: 100 }, (_, i) => check(`^${i}(a|aa)+$`, `${i}${'a'.repeat(24)}b`));
  for (const fault of await Promise.all(orders)) expect(fault).toMatch(/must match pattern/);
  expect(thread.ends).toBe(0);
  await expect(check('^(a+)+$', `${'a'.repeat(100)}b`)).rejects.toThrow('it takes more than 0.2 s');
  expect(thread.ends).toBe(1);
  expect(await check('^a$', 'a')).toBeUndefined();
}, 600_000);
