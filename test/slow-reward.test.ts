/** A reward that lets a training wait: Ctrl-C does not. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { heed, ownFolder, start, traceOf } from './support/heed.ts';
import { smallModel } from './support/training.ts';

const folder = ownFolder();
const at = (...names: string[]) => join(folder.path, ...names);

const train = [
  ...['ppo', '--model', smallModel(), '--data', 'prompts.jsonl', '--evaluation.data', 'prompts.jsonl'],
  ...['--reward', 'slow.js', '--reward-call.timeout', '100000', '--max-tokens', '4', '--batch', '4'],
  ...['--steps', '4', '--evaluations', '2', '--learning-rate', '0.01', '--ppo.minibatch', '2'],
];

beforeAll(async () => {
  writeFileSync(at('prompts.jsonl'), '{"prompt": "red"}\n{"prompt": "a blue sun"}\n');
  // as often as the file "calls" says it answers at once, where there is such a file
  writeFileSync(
    at('slow.js'),
    `import { existsSync, readFileSync } from 'node:fs';
    let calls = existsSync('calls') ? Number(readFileSync('calls')) : Infinity;
    export default async (answers) => {
      if (calls-- > 0) return answers.map(({ response }) => response.filter((id) => id % 2 === 0).length);
      process.stderr.write('waiting');
      return new Promise(() => setInterval(() => {}, 1000));
    };\n`,
  );
  expect((await heed([...train, '--out', 'whole'], folder.path)).code).toBe(0);
});

it.each([
  ['the evaluation before the first step', 0],
  ['answers to learn from', 2],
  ['an evaluation on the way', 3],
])('stops where it waits for %s, and goes on as if it had not', async (_, calls) => {
  writeFileSync(at('calls'), String(calls));
  const out = `after-${calls}`;
  const { child, says, end } = start([...train, '--out', out], folder.path);
  await says('waiting');
  child.kill('SIGINT');
  expect(await end).toMatchObject({
    code: 130,
    stderr: expect.stringContaining(`Continue with: heed ppo --resume ${out}`),
  });
  rmSync(at('calls'));
  expect((await heed(['ppo', '--resume', out], folder.path)).code).toBe(0);
  expect(traceOf(at(out))).toEqual(traceOf(at('whole')));
});
