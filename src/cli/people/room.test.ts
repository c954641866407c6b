import { expect, it } from 'vitest';
import { createProject } from '../../feedback/index.ts';
import { openDatabase } from '../../feedback/store/database.ts';
import { projectNameFor } from './room.ts';

it.each([
  ['CartPole-v1', 'CartPole-v1'],
  ['./point.mjs', 'point.mjs'],
  ['../envs/my env.ts', 'envs-my env.ts'],
  ['ALE/Pong-v5', 'ALE-Pong-v5'],
  ['gym:Taxi-v3', 'gym-Taxi-v3'],
  ['/', 'training'],
  ['x'.repeat(200), 'x'.repeat(100)],
])('a training of %s asks in the project %s', async (name, project) => {
  expect(projectNameFor(name)).toBe(project);
  const database = await openDatabase(':memory:');
  expect((await createProject(database, projectNameFor(name))).name).toBe(project);
  await database.close();
});
