/** heed reward --from-project: a reward model from what people said, and a run that goes on when they have said more. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { call, ownFolder, traceOf } from './support/heed.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const llama = fileURLToPath(new URL('./fixtures/models/tiny-llama', import.meta.url));
const pairs = Array.from({ length: 40 }, (_, i) => ({
  prompt: [{ role: 'user', content: `${i} and ${i % 7}?` }],
  chosen: [{ role: 'assistant', content: i % 2 ? 'a good cat' : 'the cat' }],
  rejected: [{ role: 'assistant', content: i % 3 ? 'the bad dog' : 'dogs' }],
}));

it('learns what it would from the exported answers, keeps them in the run, and goes on with them', async () => {
  writeFileSync(at('pairs.jsonl'), pairs.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const run = (...args: string[]) => call(args, folder.path);
  const imported = await run('feedback', 'import', 'pairs.jsonl', '--project', 'cats', '--judgments-of', 'ada');
  expect(imported).toMatchObject({ code: 0 });
  await run('feedback', 'export', 'exported.jsonl', '--project', 'cats');

  const small = ['--model', llama, '--batch', '8', '--evaluations', '1'];
  const exported = await run('reward', ...small, '--data', 'exported.jsonl', '--out', 'exported');
  expect(exported).toMatchObject({ code: 0 });
  const people = await run('reward', ...small, '--from-project', 'cats', '--out', 'people');
  expect(people).toMatchObject({ code: 0 });
  expect(traceOf(at('people')).tensors).toBe(traceOf(at('exported')).tensors);
  expect(readFileSync(at('people', 'comparisons.jsonl'), 'utf8')).toBe(readFileSync(at('exported.jsonl'), 'utf8'));
  const { config } = JSON.parse(readFileSync(at('people', 'config.json'), 'utf8'));
  expect(config).toMatchObject({ data: 'comparisons.jsonl', fromProject: 'cats' });

  // the store may be gone: the run has what it learns from
  const { tensors, last } = traceOf(at('people'));
  rmSync(at('feedback.db'));
  rmSync(at('people', 'checkpoints', last), { recursive: true });
  const resumed = await run('reward', '--resume', 'people');
  expect(resumed).toMatchObject({ code: 0 });
  expect(traceOf(at('people')).tensors).toBe(tensors);
});

it('says what is wrong', async () => {
  const both = await call(['reward', '--model', llama, '--data', 'x', '--from-project', 'cats'], folder.path);
  expect(both.code).not.toBe(0);
  expect(both.stderr).toContain('--data and --from-project exclude each other');
  const none = await call(['reward', '--model', llama, '--from-project', 'nobody'], folder.path);
  expect(none.code).not.toBe(0);
  expect(none.stderr).toContain('There is no project named "nobody"');
});
