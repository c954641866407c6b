/** What threads that step environments must bear: a machine that is late. Run from the compiled package. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, inject, it } from 'vitest';
import { ownFolder } from './support/heed.ts';

const folder = ownFolder();
/** What a script says that may use openEnvironment. */
function run(name: string, lines: string): unknown {
  const path = join(folder.path, name);
  const env = pathToFileURL(join(inject('compiled'), 'dist', 'env', 'index.js')).href;
  writeFileSync(path, `import { openEnvironment } from ${JSON.stringify(env)};\n${lines}`);
  return JSON.parse(execFileSync(process.execPath, [path], { cwd: folder.path, encoding: 'utf8', timeout: 600_000 }));
}

it('a thread that was told late of an order does not carry it out again', () => {
  const told = run(
    'late.mjs',
    `const { notify } = Atomics;
    Atomics.notify = (array, place) => {
      for (const end = performance.now() + 3; performance.now() < end; ); // the order is carried out meanwhile
      return notify(array, place);
    };
    const [one, two] = await Promise.all([0, 2].map((workers) => openEnvironment('CartPole-v1', { workers })));
    const lives = [one, two].map((source) => {
      const batch = source.batch(3);
      batch.reset([1, 2, 3]);
      for (let t = 0; t < 60; t++) batch.step(new Float32Array(3).fill(t % 2), [4, 5, 6]);
      batch[Symbol.dispose]();
      source[Symbol.dispose]();
      return Array.from(batch.observations);
    });
    console.log(JSON.stringify(lives));`,
  ) as number[][];
  expect(told[0]).toHaveLength(12);
  expect(told[1]).toEqual(told[0]);
});

it('an error in the share of the thread that asks leaves the other shares done', () => {
  const told = run(
    'own.mjs',
    `const source = await openEnvironment('Pendulum-v1', { workers: 3 });
    const batch = source.batch(3);
    batch.reset([1, 2, 3]);
    const errors = [0, 1, 2].map((bad) => {
      try {
        batch.step(Float32Array.of(0, 0, 0).fill(NaN, bad), [1, 2, 3]);
      } catch ({ name, message, hint }) {
        return { name, message, hint };
      }
    });
    batch.reset([1, 2, 3]);
    batch.step(new Float32Array(3), [1, 2, 3]);
    const many = Array.from(batch.observations);
    batch[Symbol.dispose]();
    const alone = source.batch(1);
    alone.reset([1]);
    alone.step(new Float32Array(1), [1]);
    console.log(JSON.stringify({ errors, many, alone: Array.from(alone.observations) }));
    alone[Symbol.dispose]();
    source[Symbol.dispose]();`,
  ) as { errors: object[]; many: number[]; alone: number[] };
  for (const error of told.errors) expect(error).toEqual(told.errors[0]);
  expect(told.errors[0]).toMatchObject({ name: 'HeedError', message: expect.stringContaining('[NaN]') });
  expect(told.many.slice(0, 3)).toEqual(told.alone);
});
