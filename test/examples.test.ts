import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { expect, inject, it } from 'vitest';

/** Runs an example as a user would, on the compiled package, and gives what it prints. */
async function run(name: string): Promise<string> {
  const code = readFileSync(new URL(`../examples/${name}.ts`, import.meta.url), 'utf8');
  expect(code.trimEnd().split('\n').length, 'lines').toBeLessThanOrEqual(27);
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  // inside the package its own name leads to its exports
  const path = join(inject('compiled'), `${name}.mjs`);
  writeFileSync(path, outputText);
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [path], {
      env: { ...process.env, HEED_THREADS: '1' },
    });
    return stdout;
  } finally {
    rmSync(path);
  }
}

const numbers = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, value]) => Number(value));

it('sft-in-memory learns rows in memory, and the model writes afterwards', async () => {
  const printed = await run('sft-in-memory');
  const losses = numbers(printed, /held out ([\d.]+)/g);
  expect(losses.at(-1)).toBeLessThan(losses[0]);
  expect(printed).toContain('the waiter was lovely');
});

it('dpo-in-memory learns pairs in memory', async () => {
  const printed = await run('dpo-in-memory');
  expect(numbers(printed, /accuracy ([\d.]+)/g)).toEqual([1]);
});

it('reward-and-ppo learns a reward and trains on it', async () => {
  const printed = await run('reward-and-ppo');
  const [[lovely], [lousy]] = [numbers(printed, /lovely (-?[\d.]+)/g), numbers(printed, /lousy (-?[\d.]+)/g)];
  expect(lovely).toBeGreaterThan(lousy);
  expect(printed).toMatch(/reward -?[\d.]+, KL -?[\d.]+/);
});

it('grpo-reward-function raises what a function rewards', async () => {
  const rewards = numbers(await run('grpo-reward-function'), /reward ([\d.]+)/g);
  expect(rewards).toHaveLength(6);
  expect(rewards.at(-1)).toBeGreaterThan(rewards[0]);
});

it('best-of-n takes the best, and learns them', async () => {
  const printed = await run('best-of-n');
  const best = numbers(printed, /best of \d+: (-?[\d.]+)/g);
  expect(best.at(-1)).toBeGreaterThan(best[0]);
  expect(printed).toMatch(/loss [\d.]+/);
});

it('judge-with-function compares two models', async () => {
  expect(numbers(await run('judge-with-function'), /win rate ([\d.]+)/g)[0]).toBeGreaterThan(0.5);
});
