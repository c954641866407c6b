import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { call, ownFolder } from './support/heed.ts';
import { startHub } from './support/hub.ts';

const folder = ownFolder();
const llama = fileURLToPath(new URL('./fixtures/models/tiny-llama', import.meta.url));

it('heed plan tells what a training takes, and what to change', async () => {
  const ppo = ['plan', '--params', '7B', '--algorithm', 'ppo', '--dtype', 'BF16', '--device', '80GiB'];
  const { code, stdout, stderr } = await call([...ppo, '--method', 'lora', '--json'], folder.path);
  expect(code).toBe(0);
  const { roles, total, fits, disk, parameters } = JSON.parse(stdout);
  expect(total).toBe(roles.reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0));
  expect(fits).toBe(false);
  expect(disk).toBe(2 * parameters);
  expect(stderr).toContain('Llama 2 7B: 6.74B parameters, 13.5 GB on disk as BF16');
  expect(stderr).toMatch(/--checkpoint-layers +saves [\d.]+ GB/);
});

it('heed plan reads a model’s config alone', async () => {
  const { code, stdout } = await call(['plan', '--model', llama, '--algorithm', 'dpo'], folder.path);
  expect(code).toBe(0);
  expect(stdout).toMatch(/this machine +[\d.]+ GB: it fits/);
});

it('heed plan gets a config alone from the Hub', async () => {
  const hub = await startHub();
  const config = readFileSync(join(llama, 'config.json'));
  const files = { 'config.json': config, 'model.safetensors': Buffer.alloc(1000) };
  hub.repos['models/owner/tiny'] = { commit: 'c'.repeat(40), files };
  const env = { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: join(folder.path, 'cache'), HF_HUB_OFFLINE: '' };
  const { code, stdout } = await call(['plan', '--model', 'owner/tiny', '--json'], folder.path, env);
  const asked = hub.seen.map(({ path }) => path);
  await hub.close();
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ shape: 'owner/tiny', fits: true });
  expect(asked.some((path) => path.endsWith('config.json'))).toBe(true);
  expect(asked.some((path) => path.endsWith('safetensors'))).toBe(false);
});

it('heed plan --cluster tells memory per device, hours and cost', async () => {
  const ppo = ['plan', '--params', '7B', '--algorithm', 'ppo', '--cluster', '8xA100-80GB', '--price', '2', '--json'];
  const { code, stdout, stderr } = await call(ppo, folder.path);
  expect(code).toBe(0);
  const { parts, fits, time } = JSON.parse(stdout);
  expect(fits).toBe(true);
  expect(parts.map(({ name }: { name: string }) => name)).toEqual(['training', 'generation']);
  expect(time.cost).toBeCloseTo(2 * time.deviceHours, 6);
  expect(stderr).toContain('1 node of 8 A100-80GB, 85.9 GB each');
  expect(stderr).toMatch(/100 steps +[\d.]+ hours, \d+ device-hours/);
});

it.each([
  [['--params', '7B', '--price', '2'], '--price needs --cluster'],
  [['--params', '7B', '--cluster', '8xH100', '--device', '24GiB'], '--device does not go with --cluster'],
  [['--params', '7B', '--cluster', '8xTPU'], 'There is no device "TPU"'],
  [['--params', 'many'], '--params: expected a number such as 7B or 135M, got "many"'],
  [[], 'either --params or --model'],
  [['--params', '7B', '--device', '24'], '--device: expected sizes such as 24GiB, got "24"'],
])('heed plan %j is wrong', async (args, message) => {
  const { code, stderr } = await call(['plan', ...args], folder.path);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
});
