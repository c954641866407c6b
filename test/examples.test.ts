import { expect, it } from 'vitest';
import { numbers, runExample } from './support/example.ts';

it('sft-in-memory learns rows in memory, and the model writes afterwards', async () => {
  const printed = await runExample('sft-in-memory.ts');
  const losses = numbers(printed, /held out ([\d.]+)/g);
  expect(losses.at(-1)).toBeLessThan(losses[0]);
  expect(printed).toContain('the waiter was lovely');
});

it('dpo-in-memory learns pairs in memory', async () => {
  const printed = await runExample('dpo-in-memory.ts');
  expect(numbers(printed, /accuracy ([\d.]+)/g)).toEqual([1]);
});

it('reward-and-ppo learns a reward and trains on it', async () => {
  const printed = await runExample('reward-and-ppo.ts');
  const [[lovely], [lousy]] = [numbers(printed, /lovely (-?[\d.]+)/g), numbers(printed, /lousy (-?[\d.]+)/g)];
  expect(lovely).toBeGreaterThan(lousy);
  expect(printed).toMatch(/reward -?[\d.]+, KL -?[\d.]+/);
});

it('grpo-reward-function raises what a function rewards', async () => {
  const rewards = numbers(await runExample('grpo-reward-function.ts'), /reward ([\d.]+)/g);
  expect(rewards).toHaveLength(6);
  expect(rewards.at(-1)).toBeGreaterThan(rewards[0]);
});

it('rl-loop raises what its reward counts, and stays near where it began', { tags: 'proof' }, async () => {
  const printed = await runExample('rl-loop.ts', { lines: 80 });
  const rewards = numbers(printed, /reward ([\d.]+)/g);
  expect(rewards).toHaveLength(12);
  expect(rewards[11]).toBeGreaterThan(3 * rewards[0] + 0.3);
  expect(numbers(printed, /distance (-?[\d.]+)/g)[11]).toBeLessThan(2);
});

it('best-of-n takes the best, and learns them', async () => {
  const printed = await runExample('best-of-n.ts');
  const best = numbers(printed, /best of \d+: (-?[\d.]+)/g);
  expect(best.at(-1)).toBeGreaterThan(best[0]);
  expect(printed).toMatch(/loss [\d.]+/);
});

it('judge-with-function compares two models', async () => {
  expect(numbers(await runExample('judge-with-function.ts'), /win rate ([\d.]+)/g)[0]).toBeGreaterThan(0.5);
});
