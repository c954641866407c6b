import { expect, test } from 'vitest';
import { HeedError } from '../../error.ts';
import { random, seedFor } from '../../random.ts';
import { cartPole } from '../classic/cartpole.ts';
import { sizeOf } from '../environment.ts';
import { makeEnvironment } from '../open/make.ts';
import { createBatch } from './batch.ts';
import { createVectorEnvironment, replay, type VectorEnvironment } from './vector.ts';

/** Acts at random for a number of steps; everything that came out, one entry a step. */
function live(vector: VectorEnvironment, seed: number, steps: number) {
  const draw = random(seed, 'actions');
  const actions = new Float32Array(vector.count * vector.actionSize);
  const { actionSpace } = vector;
  return Array.from({ length: steps }, () => {
    for (let i = 0; i < actions.length; i++) {
      actions[i] = actionSpace.kind === 'discrete' ? draw.integer(actionSpace.n) : draw.normal();
    }
    vector.step(actions);
    return {
      observations: vector.observations.slice(),
      finalObservations: vector.finalObservations.slice(),
      rewards: vector.rewards.slice(),
      terminated: vector.terminated.slice(),
      truncated: vector.truncated.slice(),
    };
  });
}

test('a copy whose episode ends starts the next one at once, and the ended one stays whole', () => {
  const vector = createVectorEnvironment(createBatch(cartPole, 3), 7);
  vector.reset();
  const first = vector.episodes[1];
  const lived = live(vector, 1, 150);
  expect(vector.episodes[1]).not.toBe(first);
  expect(first.seed).toBe(seedFor(7, 'episode', 1, 0));

  const alone = cartPole();
  const observation = new Float32Array(4);
  alone.reset(first.seed, observation);
  for (let t = 0; t < first.length; t++) {
    const { reward, terminated } = alone.step(first.actions.subarray(t, t + 1), observation);
    expect(lived[t].rewards[1]).toBe(reward);
    expect(lived[t].terminated[1]).toBe(terminated ? 1 : 0);
    expect(terminated).toBe(t === first.length - 1);
    const seen = terminated ? lived[t].finalObservations : lived[t].observations;
    expect(seen.slice(4, 8)).toEqual(observation);
  }
  alone.reset(seedFor(7, 'episode', 1, 1), observation);
  expect(lived[first.length - 1].observations.slice(4, 8)).toEqual(observation);
});

test('the time limit truncates and is not a termination', () => {
  const vector = createVectorEnvironment(
    createBatch(() => makeEnvironment('Pendulum-v1'), 2),
    0,
  );
  vector.reset();
  const lived = live(vector, 2, 401);
  for (const [t, { terminated, truncated }] of lived.entries()) {
    expect(Array.from(terminated)).toEqual([0, 0]);
    expect(Array.from(truncated)).toEqual(t === 199 || t === 399 ? [1, 1] : [0, 0]);
  }
  expect(vector.episodes.map(({ index, length }) => [index, length])).toEqual([
    [2, 1],
    [2, 1],
  ]);
});

test.each(['CartPole-v1', 'Pendulum-v1', 'LunarLander-v3'])(
  '%s saved and restored goes on as if it had not stopped',
  (id) => {
    const make = () =>
      createVectorEnvironment(
        createBatch(() => makeEnvironment(id), 4),
        11,
      );
    const uninterrupted = make();
    uninterrupted.reset();
    live(uninterrupted, 3, 230);
    const saved = JSON.parse(JSON.stringify(uninterrupted.save()));
    const resumed = make();
    resumed.restore(saved);
    expect(resumed.observations).toEqual(uninterrupted.observations);
    // final observations are only valid where an episode ended
    const outcomes = (vector: VectorEnvironment) =>
      live(vector, 4, 100).map(({ finalObservations, ...rest }) => ({
        ...rest,
        ends: vector.episodes.map((_, i) => {
          const size = vector.observationSize;
          return rest.terminated[i] || rest.truncated[i] ? finalObservations.slice(i * size, (i + 1) * size) : null;
        }),
      }));
    expect(outcomes(resumed)).toEqual(outcomes(uninterrupted));
    expect(resumed.save()).toEqual(uninterrupted.save());
  },
);

test('a state saved before the first reset restores to that', () => {
  const vector = createVectorEnvironment(createBatch(cartPole, 2), 5);
  vector.restore(createVectorEnvironment(createBatch(cartPole, 2), 5).save());
  expect(() => vector.step(new Float32Array(2))).toThrow(HeedError);
  vector.reset();
  expect(vector.episodes[0].index).toBe(0);
});

test('replay gives the pictures of the asked steps, each after its step', () => {
  const vector = createVectorEnvironment(createBatch(cartPole, 1), 5);
  vector.reset();
  const episode = vector.episodes[0];
  live(vector, 5, 200);
  const environment = cartPole();
  const frames = replay(environment, episode, 2, episode.length);
  expect(frames).toHaveLength(episode.length - 2);
  expect(replay(cartPole(), episode, 4, 5)).toEqual([frames[2]]);
  expect(frames.at(-1)).toEqual(environment.frame());
  expect(() => replay(environment, episode, 3, episode.length + 1)).toThrow(HeedError);
});

test('wrong counts, sizes, states and orders are refused', () => {
  expect(() => createVectorEnvironment(createBatch(cartPole, 0), 0)).toThrow(HeedError);
  const vector = createVectorEnvironment(createBatch(cartPole, 2), 0);
  expect(() => vector.step(new Float32Array(2))).toThrow(/reset/);
  vector.reset();
  expect(() => vector.step(new Float32Array(3))).toThrow(HeedError);
  expect(() => vector.step(Float32Array.of(0, Number.NaN))).toThrow(HeedError);
  expect(() => vector.restore({ ...vector.save(), seed: 1 })).toThrow(HeedError);
  expect(() => vector.restore({ seed: 0, steps: 0, episodes: [] })).toThrow(HeedError);
  expect(sizeOf(vector.actionSpace)).toBe(vector.actionSize);
});
