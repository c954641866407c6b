/** Threads that share the rows of a decoder's steps. Run from the compiled package, in processes of their own. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, inject, it } from 'vitest';
import { runtime } from '../src/engine/runtime/current.ts';
import { ownFolder } from './support/heed.ts';

const support = runtime().bf16!();
const folder = ownFolder();

/** What a script says about a generator of 40 random prompts. */
function run(name: string, lines: string): unknown {
  const dist = pathToFileURL(join(inject('compiled'), 'dist')).href;
  writeFileSync(
    join(folder.path, name),
    `import { createGenerator } from '${dist}/lm/generate.js';
    import { createParameters, decoderParameters } from '${dist}/nn/index.js';
    import { random } from '${dist}/random.js';
    import { readConfig } from '${dist}/lm/config.js';
    const config = readConfig({
      architectures: ['LlamaForCausalLM'], hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4,
      num_key_value_heads: 2, intermediate_size: 96, vocab_size: 512, max_position_embeddings: 256,
      tie_word_embeddings: true,
    }, 'here');
    const { values } = createParameters(decoderParameters(config), random(0, 'weights'));
    const draws = random(1, 'prompts');
    const prompts = Array.from({ length: 40 }, (_, i) => Int32Array.from({ length: 3 + i }, () => draws.integer(512)));
    const create = () => createGenerator(config, values, { precision: 'bf16' });
    const written = async (generator) =>
      (await generator.complete(prompts, { maxTokens: 12, seed: 3 })).map(({ ids, logprobs }) => ({ ids, logprobs }));
    ${lines}`,
  );
  const env = { ...process.env, HEED_THREADS: '2' };
  const { path } = folder;
  return JSON.parse(
    execFileSync(process.execPath, [join(path, name)], { cwd: path, env, encoding: 'utf8', timeout: 600_000 }),
  );
}

describe.skipIf(!support.works)(
  `threads of a decoder (${support.missing ?? support.library}) (needs bfloat16 on the CPU)`,
  () => {
    it('write what one thread writes, and follow weights that change; a program that does not end them ends', () => {
      const result = run(
        'divided.mjs',
        `const generator = create();
      const first = await written(generator);
      for (const value of Object.values(values)) for (let i = 0; i < value.size; i++) value.data[i] *= 1.5;
      const second = await written(generator);
      const fewer = create(); // its batches are too small to be divided
      const alone = [];
      for (let i = 0; i < 40; i += 8) {
        const part = await fewer.complete(prompts.slice(i, i + 8), { maxTokens: 12, temperature: 0 });
        alone.push(...part.map(({ ids }) => ids));
      }
      const together = (await generator.complete(prompts, { maxTokens: 12, temperature: 0 })).map(({ ids }) => ids);
      const moved = JSON.stringify(first) !== JSON.stringify(second);
      console.log(JSON.stringify({ moved, alone, together, again: await written(generator), second }));`,
      ) as Record<string, unknown>;
      expect(result.moved).toBe(true);
      expect(result.together).toEqual(result.alone);
      expect(result.again).toEqual(result.second);
    });

    it('say so when one of them ends', () => {
      const result = run(
        'ended.mjs',
        `import workers from 'node:worker_threads';
      const started = [];
      const Own = workers.Worker;
      workers.Worker = class extends Own { constructor(...args) { super(...args); started.push(this); } };
      const { syncBuiltinESMExports } = await import('node:module');
      syncBuiltinESMExports();
      const generator = create();
      await written(generator);
      await Promise.all(started.map((worker) => worker.terminate()));
      const failure = await written(generator).then(() => undefined, ({ name, message, hint }) => ({ name, message, hint }));
      console.log(JSON.stringify({ started: started.length, failure }));
      process.exit();`,
      ) as { started: number; failure: { name: string; message: string; hint: string } };
      expect(result.started).toBe(1);
      expect(result.failure.name).toBe('HeedError');
      expect(result.failure.message).toMatch(/a thread that generates text ended/);
      expect(result.failure.hint).toMatch(/HEED_THREADS=1/);
    });
  },
);
