import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { random } from '../../random.ts';
import { sizeOf } from '../environment.ts';
import { behaviorTasks, loadMujoco, mujocoTasks } from './mujoco.ts';
import type { MujocoEnvironment, MujocoTask } from './task.ts';

/** Recorded from Gymnasium with native MuJoCo; a list has an entry a step. */
interface Recording {
  maxEpisodeSteps: number;
  rewardThreshold?: number;
  bodyMass: number[];
  episodes: {
    qpos: number[];
    qvel: number[];
    actions: number[][];
    observations: number[][];
    rewards: number[];
    terminated: boolean;
  }[];
}

const recording = (id: string): Recording =>
  JSON.parse(readFileSync(new URL(`../../../test/fixtures/mujoco/${id}.json`, import.meta.url), 'utf8'));

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i])));

/** The observation before it is rounded to 32 bits. */
function observe({ world, observationSpace }: MujocoEnvironment, { observe }: MujocoTask): Float64Array {
  const observation = new Float64Array(sizeOf(observationSpace));
  if (observe) observe(world, observation);
  else observation.set([...world.qpos, ...world.qvel]);
  return observation;
}

/** Lives some steps from a seed with actions of their own seed; every number seen. */
function live(environment: MujocoEnvironment, seed: number, steps: number): number[] {
  const { uniform } = random(seed, 'actions');
  const observation = new Float32Array(sizeOf(environment.observationSpace));
  environment.reset(seed, observation);
  const seen = [...observation];
  for (let t = 0; t < steps; t++) {
    const action = Float32Array.from({ length: sizeOf(environment.actionSpace) }, () => 2 * uniform() - 1);
    const { reward, terminated } = environment.step(action, observation);
    seen.push(reward, ...observation, ...environment.world.qpos);
    if (terminated) break;
  }
  return seen;
}

describe.each([...mujocoTasks, ...behaviorTasks].map((task) => [task.id, task] as const))('%s', (id, task) => {
  if (mujocoTasks.includes(task))
    test('agrees with the recorded episodes', async () => {
      const recorded = recording(id);
      const environment = (await loadMujoco(id))();
      expect(environment.maxEpisodeSteps).toBe(recorded.maxEpisodeSteps);
      expect(environment.rewardThreshold).toBe(recorded.rewardThreshold);
      expect(
        distance((environment.world.model as { body_mass: Float64Array }).body_mass, recorded.bodyMass),
      ).toBeLessThan(1e-14);
      const { episodes } = recorded;
      const observation = new Float32Array(sizeOf(environment.observationSpace));
      for (const { qpos, qvel, actions, observations, rewards, terminated } of episodes) {
        environment.reset(0, observation);
        environment.world.setState(qpos, qvel);
        for (const [t, action] of actions.entries()) {
          const outcome = environment.step(action, observation);
          expect(distance(observe(environment, task), observations[t])).toBeLessThan(t < 10 ? 1e-9 : 1e-6);
          // Gymnasium sums the squares of the actions in 32 bits
          expect(Math.abs(outcome.reward - rewards[t])).toBeLessThan(1e-6);
          expect(outcome.terminated).toBe(terminated && t === actions.length - 1);
        }
      }
    });

  test('an episode is its seed and its actions, whatever was lived before or beside it', async () => {
    const make = await loadMujoco(id);
    const first = make();
    const lived = live(first, 7, 40);
    expect(live(first, 8, 40)).not.toEqual(lived);
    expect(live(first, 7, 40)).toEqual(lived);
    const beside = make();
    live(beside, 9, 15);
    expect(live(beside, 7, 40)).toEqual(lived);
  });

  test('draws itself within its frame, which changes nothing', async () => {
    const make = await loadMujoco(id);
    const [watched, unwatched] = [make(), make()];
    const observations = [watched, unwatched].map(
      (environment) => new Float32Array(sizeOf(environment.observationSpace)),
    );
    const action = new Float32Array(sizeOf(watched.actionSpace)).fill(0.3);
    for (const [i, environment] of [watched, unwatched].entries()) environment.reset(3, observations[i]);
    for (let t = 0; t < 3; t++) {
      const { width, height, shapes } = watched.frame();
      expect(shapes.length).toBeGreaterThan(2);
      for (const shape of shapes) {
        if (shape.kind !== 'polygon') continue;
        for (const [i, value] of shape.points.entries()) {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(i % 2 === 0 ? width : height);
        }
      }
      const { reward } = watched.step(action, observations[0]);
      expect(unwatched.step(action, observations[1]).reward).toBe(reward);
      expect(observations[0]).toEqual(observations[1]);
      expect(watched.frame().shapes).not.toEqual(shapes);
    }
  });
});

test('worlds stay valid when others make the memory grow', async () => {
  const make = await loadMujoco('Swimmer-v5');
  const first = make();
  const lived = live(first, 1, 5);
  first.reset(1, new Float32Array(8));
  const { buffer } = first.world.qpos;
  const others = [];
  while (buffer.byteLength > 0) others.push(make());
  expect(live(first, 1, 5)).toEqual(lived);
  for (const other of others) other[Symbol.dispose]();
});

test('a released world refuses to go on', async () => {
  const environment = (await loadMujoco('Swimmer-v5'))();
  const observation = new Float32Array(8);
  environment.reset(0, observation);
  environment[Symbol.dispose]();
  environment[Symbol.dispose]();
  expect(() => environment.step([0, 0], observation)).toThrow();
});
