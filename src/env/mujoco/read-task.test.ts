import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { HeedError } from '../../error.ts';
import { loadMujoco } from './mujoco.ts';
import { readMujocoTask } from './read-task.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-task-'));
afterAll(() => rmSync(folder, { recursive: true }));

const model = '<mujoco><worldbody><body><freejoint/><geom size="1"/></body></worldbody></mujoco>';
const path = join(folder, 'task.js');
const reward = () => 0;

test('the example of the documentation runs as written', async () => {
  const page = readFileSync(new URL('../../../docs/reference/environments.md', import.meta.url), 'utf8');
  const [, own] = page.split('### Your own MJCF');
  const [, mjcf] = own.match(/```xml\n(.*?)```/s)!;
  const [, code] = own.match(/```js\n(.*?)```/s)!;
  writeFileSync(join(folder, 'swing-up.xml'), mjcf);
  writeFileSync(join(folder, 'swing-up.mjs'), code);
  const file = join(folder, 'swing-up.mjs');
  const make = await loadMujoco(readMujocoTask((await import(pathToFileURL(file).href)).default, file));
  const environment = make();
  expect(environment.id).toBe('swing-up');
  const observation = new Float32Array(environment.observationSpace.low.length);
  environment.reset(1, observation);
  const { reward } = environment.step([1], observation);
  expect(reward).toBeCloseTo(-1.01, 2); // it hangs
  expect(environment.frame().shapes.length).toBeGreaterThan(2);
  expect(environment.actionSpace).toMatchObject({ kind: 'box', low: Float32Array.of(-1) });
});

test('what the model includes and its meshes are read, from where the model looks for them', async () => {
  mkdirSync(join(folder, 'parts', 'meshes'), { recursive: true });
  writeFileSync(
    join(folder, 'parts', 'whole.xml'),
    `<mujoco><compiler meshdir="meshes"/><include file="asset.xml"/><worldbody><body name="rock"><freejoint/>
     <geom type="mesh" mesh="rock"/></body></worldbody></mujoco>`,
  );
  writeFileSync(
    join(folder, 'parts', 'asset.xml'),
    '<mujoco><asset><mesh name="rock" file="rock.obj"/></asset></mujoco>',
  );
  writeFileSync(
    join(folder, 'parts', 'meshes', 'rock.obj'),
    'v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n',
  );
  const task = readMujocoTask({ model: 'parts/whole.xml', reward: () => 1 }, path);
  expect(Object.keys(task.assets!)).toEqual(['asset.xml', join('meshes', 'rock.obj')]);
  const environment = (await loadMujoco(task))();
  const observation = new Float32Array(13);
  environment.reset(0, observation);
  for (let t = 0; t < 10; t++) environment.step([], observation);
  expect(environment.world.xpos[environment.world.body('rock') * 3 + 2]).toBeLessThan(0);
  expect(environment.frame().shapes.length).toBe(1);
});

test.each([
  ['no object', undefined, 'a `model`'],
  ['no reward', { model }, '`reward(world)`'],
  ['a frame skip of nothing', { model, reward, frameSkip: 0 }, '`frameSkip`, got 0'],
  ['an observation of unknown size', { model, reward, observe() {} }, '`observationSize`'],
  ['a model that is not there', { model: 'nowhere.xml', reward }, 'nowhere.xml'],
  [
    'a mesh that is not there',
    { model: model.replace('<worldbody>', '<include file="no.xml"/><worldbody>'), reward },
    'no.xml',
  ],
])('refuses %s', (_, exported, message) => {
  const read = () => readMujocoTask(exported, path);
  expect(read).toThrow(HeedError);
  expect(read).toThrow(message);
});

test.each([
  ['a model that is wrong', '<mujoco><worldbody><geom/></worldbody></mujoco>', 'size 0 must be positive'],
  ['a model in which nothing moves', '<mujoco/>', 'with a joint'],
])('refuses %s', async (_, wrong, message) => {
  await expect(loadMujoco({ id: 'mine', model: wrong, reward })).rejects.toThrow(message);
});

test('refuses a reward that is no number, and a name that the model does not have', async () => {
  const observation = new Float32Array(13);
  const nothing = (await loadMujoco({ id: 'mine', model, reward: () => Number.NaN }))();
  nothing.reset(0, observation);
  expect(() => nothing.step([], observation)).toThrow('mine: expected a finite number as reward, got NaN');
  expect(() => nothing.world.body('head')).toThrow('expected the name of a body of the model, got "head"');
  await expect(loadMujoco('Hopper-v4')).rejects.toThrow('expected one of Hopper-v5');
});
