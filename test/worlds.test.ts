/** Environments that need more than this thread: worker threads, a file of the user's own. Run from the compiled package. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import type * as Env from '../src/env/index.ts';
import { call, ownFolder } from './support/heed.ts';

const folder = ownFolder();
const lastLine = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1)!);

describe('worker threads', () => {
  let env: typeof Env;
  beforeAll(async () => {
    env = await import(pathToFileURL(join(inject('compiled'), 'dist', 'env', 'index.js')).href);
  });
  const opened = async (name: string, workers: number, use: (source: Env.EnvironmentSource) => void) => {
    const source = await env.openEnvironment(name, { workers });
    try {
      use(source);
    } finally {
      source[Symbol.dispose]();
    }
  };
  /** Acts for some steps; all that came out. */
  const live = (vector: Env.VectorEnvironment, steps: number) => {
    const actions = new Float32Array(vector.count * vector.actionSize);
    return Array.from({ length: steps }, (_, t) => {
      for (let i = 0; i < actions.length; i++) {
        const wave = Math.sin(t * 3 + i);
        actions[i] = vector.actionSpace.kind === 'discrete' ? Number(wave > 0) : wave;
      }
      vector.step(actions);
      const { observations, rewards, terminated, truncated } = vector;
      return [observations, rewards, terminated, truncated].map((values) => Array.from(values));
    });
  };

  it.each(['CartPole-v1', 'Pendulum-v1', 'Reacher-v5'])('step %s to the same numbers as none', async (name) => {
    const lives: unknown[] = [];
    for (const workers of [0, 2]) {
      await opened(name, workers, (source) => {
        const vector = env.createVectorEnvironment(source.batch(5), 3);
        vector.reset();
        const first = live(vector, 60);
        const saved = vector.save();
        const then = live(vector, 60);
        const resumed = env.createVectorEnvironment(source.batch(5), 3);
        resumed.restore(saved);
        expect(live(resumed, 60)).toEqual(then);
        vector[Symbol.dispose]();
        lives.push({ first, then, saved });
      });
    }
    expect(lives[1]).toEqual(lives[0]);
  });

  it('leave what has ended as it is where it is not to start anew', async () => {
    await opened('CartPole-v1', 2, (source) => {
      const batch = source.batch(4);
      batch.reset([1, 2, 3, 4]);
      const sums = new Float64Array(4);
      for (let t = 0; t < 60; t++) {
        batch.step(new Float32Array(4), [-1, -1, -1, -1]);
        for (let i = 0; i < 4; i++) sums[i] += batch.rewards[i];
      }
      expect(Array.from(batch.terminated)).toEqual([1, 1, 1, 1]);
      expect(batch.observations).toEqual(batch.finalObservations);
      expect(Math.max(...sums)).toBeLessThan(15); // always to the left: it falls soon
    });
  });

  it('carry an environment’s error with its message, and go on', async () => {
    await opened('Pendulum-v1', 2, (source) => {
      const batch = source.batch(3);
      batch.reset([1, 2, 3]);
      expect(() => batch.step(Float32Array.of(0, Number.NaN, 0), [1, 2, 3])).toThrow('1 finite number, got [NaN]');
      batch.reset([1, 2, 3]);
      batch.step(new Float32Array(3), [1, 2, 3]);
    });
  });

  it('that end are told of, and those that are forgotten hold nothing up', () => {
    const url = (path: string) => JSON.stringify(pathToFileURL(join(inject('compiled'), 'dist', path)).href);
    writeFileSync(
      join(folder.path, 'leaves.mjs'),
      `import { isMainThread } from 'node:worker_threads';
      import { cartPole } from ${url('env/index.js')};
      export default () => {
        const environment = cartPole();
        const reset = (seed, seen) => (isMainThread || seed !== 3 ? environment.reset(seed, seen) : process.exit(3));
        return { ...environment, reset };
      };`,
    );
    const script = join(folder.path, 'forgets.mjs');
    writeFileSync(
      script,
      `import { openEnvironment } from ${url('env/index.js')};
      await openEnvironment('CartPole-v1', { workers: 2 });
      const batch = (await openEnvironment('./leaves.mjs', { workers: 2 })).batch(4);
      try {
        batch.reset([1, 2, 3, 4]);
      } catch ({ name, message, hint }) {
        console.log(JSON.stringify({ name, message, hint }));
      }
      batch[Symbol.dispose]();`,
    );
    const told = JSON.parse(
      execFileSync(process.execPath, [script], { cwd: folder.path, encoding: 'utf8', timeout: 600_000 }),
    );
    expect(told).toMatchObject({ name: 'HeedError', hint: expect.stringContaining('--workers 0') });
    expect(told.message).toContain('process.exit');
  });

  it('start no training with an environment that does not load', async () => {
    const { code, stderr } = await call(['rl', '--env', './nowhere.js', '--workers', '2'], folder.path);
    expect(code).toBe(2);
    expect(stderr).toContain('there is no file "./nowhere.js"');
  });
});

describe('the example of an environment of one’s own', () => {
  const source = fileURLToPath(new URL('../examples/thermostat.ts', import.meta.url));
  const path = () => join(inject('compiled'), 'thermostat.mjs'); // inside the package its own name leads to its exports
  const small = ['--episodes', '10', '--evaluations', '1', '--json'];
  beforeAll(() => {
    const compiled = ts.transpileModule(readFileSync(source, 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
    });
    writeFileSync(path(), compiled.outputText);
  });

  it('is learned by heed rl', async () => {
    const { code, stdout, stderr } = await call(['rl', '--env', path(), '--steps', '12000', ...small], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(lastLine(stdout).return.mean).toBeGreaterThan(-25); // untrained about −41
  });

  it('is trained by comparisons, in threads', async () => {
    const few = ['--labels', '12', '--steps', '4000', '--reward.first-steps', '20', '--reward.steps', '10'];
    const args = ['train', '--env', path(), '--teacher', 'oracle', ...few, '--workers', '2', ...small];
    const { code, stdout, stderr } = await call(args, folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(lastLine(stdout)).toMatchObject({ labels: 12, correlation: { pearson: expect.any(Number) } });
  });

  it('is taught by comparisons, in threads', { tags: 'proof' }, async () => {
    const taught = ['--teacher', 'oracle', '--labels', '60', '--steps', '15000', '--workers', '2'];
    // so few labels of so short a training want less decay than the defaults have
    writeFileSync(join(folder.path, 'floor.json'), JSON.stringify({ ppo: { advantageFloor: 0 } }));
    const settings = [...taught, '--reward.constant', '3', '--reward.weight-decay', '0.5', '--config', 'floor.json'];
    const { code, stdout, stderr } = await call(['train', '--env', path(), ...settings, ...small], folder.path);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(lastLine(stdout)).toMatchObject({ labels: 60, correlation: { pearson: expect.any(Number) } });
    expect(lastLine(stdout).correlation.pearson).toBeGreaterThan(0.5);
  });

  it('is taken as TypeScript where Node reads it, and else one is told what to do', async () => {
    const { code, stderr } = await call(['rl', '--env', source, '--steps', '512', ...small], folder.path);
    if ((process as { features: { typescript?: unknown } }).features.typescript) {
      expect({ code, stderr }).toMatchObject({ code: 0 });
    } else {
      expect(code).toBe(2);
      expect(stderr).toContain('Node reads TypeScript from 22.18 on');
    }
  });
});

it('heed envs lists what there is, and how the rest is to be had', async () => {
  const { code, stdout } = await call(['envs', '--json'], folder.path, { HEED_PYTHON: '/no/such/python' });
  expect(code).toBe(0);
  const { groups } = lastLine(stdout) as { groups: Env.EnvironmentGroup[] };
  const named = (name: string) => groups.find((group) => group.name === name)!;
  expect(named('classic control').ids).toContain('CartPole-v1');
  expect(named('box2d').ids).toEqual(['LunarLander-v3', 'LunarLanderContinuous-v3']);
  expect(named('mujoco').ids).toContain('HalfCheetah-v5');
  expect(named('atari')).toMatchObject({ ids: [], missing: expect.stringContaining('/no/such/python') });
  expect(named('atari').install).toContain('HEED_PYTHON');
});
