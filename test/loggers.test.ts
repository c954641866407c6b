/** A training that is told of elsewhere while it goes on. */
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { call, ownFolder } from './support/heed.ts';

const folder = ownFolder();
const short = [
  'rl',
  '--env',
  'CartPole-v1',
  '--steps',
  '600',
  '--ppo.environments',
  '2',
  '--ppo.horizon',
  '64',
  '--ppo.minibatch',
  '64',
];

it('writes TensorBoard’s events, and tells a webhook how it ended', async () => {
  const told: unknown[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (data) => {
      text += data;
    });
    request.on('end', () => {
      told.push(JSON.parse(text));
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const where = `tensorboard,webhook:http://127.0.0.1:${port}/,mlflow:http://127.0.0.1:9`;
  const { code, stderr } = await call([...short, '--out', 'told', '--log', where], folder.path);
  server.close();
  expect(stderr).toContain('Logging to MLflow at 127.0.0.1:9 failed');
  expect(code).toBe(0);
  expect(readdirSync(join(folder.path, 'told', 'tensorboard'))).toHaveLength(1);
  expect(told).toEqual([expect.objectContaining({ command: 'rl', kind: 'end', status: 'finished' })]);
});

it('says what it cannot log to', async () => {
  const { code, stderr } = await call([...short, '--log', 'elsewhere'], folder.path);
  expect(stderr).toContain(
    '--log: expected tensorboard, mlflow:URL, webhook:URL, prometheus:[ADDRESS:]PORT, with commas between, got "elsewhere"',
  );
  expect(code).toBe(2);
});
