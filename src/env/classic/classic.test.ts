import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { HeedError } from '../../error.ts';
import { sizeOf } from '../environment.ts';
import { acrobot } from './acrobot.ts';
import { cartPole } from './cartpole.ts';
import { mountainCar } from './mountain-car.ts';
import { mountainCarContinuous } from './mountain-car-continuous.ts';
import { pendulum } from './pendulum.ts';

/** Recorded from Gymnasium; a list has an entry a step. */
interface Recording {
  episodes: {
    state: number[];
    initialObservation: number[];
    actions: number[][];
    observations: number[][];
    rewards: number[];
    terminated: boolean;
    truncated: boolean;
  }[];
}

const recording = (id: string): Recording =>
  JSON.parse(readFileSync(new URL(`../../../test/fixtures/envs/${id}.json`, import.meta.url), 'utf8'));

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i])));

describe.each([cartPole, acrobot, pendulum, mountainCar, mountainCarContinuous])('%o', (make) => {
  const environment = make();
  const { id, state, actionSpace, observationSpace, maxEpisodeSteps } = environment;
  const observation = new Float32Array(sizeOf(observationSpace));

  test(`${id} agrees with the recorded episodes`, () => {
    for (const episode of recording(id).episodes) {
      environment.reset(0, observation);
      state.set(episode.state);
      let worst = 0;
      let ended = { terminated: false, truncated: false };
      for (const [t, action] of episode.actions.entries()) {
        expect(ended).toEqual({ terminated: false, truncated: false });
        const { reward, terminated, truncated } = environment.step(action, observation);
        worst = Math.max(worst, distance(observation, episode.observations[t]), Math.abs(reward - episode.rewards[t]));
        ended = { terminated, truncated };
      }
      expect(worst).toBeLessThan(1e-6);
      expect(ended).toEqual({ terminated: episode.terminated, truncated: episode.truncated });
    }
  });

  test(`${id} starts alike from the same seed, otherwise from another, within the space`, () => {
    const starts = [1, 2, 1].map((seed) => {
      environment.reset(seed, observation);
      return observation.slice();
    });
    expect(starts[2]).toEqual(starts[0]);
    expect(starts[1]).not.toEqual(starts[0]);
    for (const start of starts) {
      for (const [i, x] of start.entries()) {
        expect(x).toBeGreaterThanOrEqual(observationSpace.low[i]);
        expect(x).toBeLessThanOrEqual(observationSpace.high[i]);
      }
    }
  });

  test(`${id} is cut at its time limit and refuses a step after the end`, () => {
    environment.reset(3, observation);
    const start = state.slice();
    let steps = 0;
    let truncated = false;
    while (!truncated) {
      state.set(start); // held where it began, so that nothing else ends the episode
      const outcome = environment.step([1], observation);
      expect(outcome.terminated).toBe(false);
      truncated = outcome.truncated;
      steps++;
    }
    expect(steps).toBe(maxEpisodeSteps);
    expect(() => environment.step([1], observation)).toThrow(HeedError);
  });

  test(`${id} refuses a bad action and keeps its state`, () => {
    environment.reset(4, observation);
    const before = state.slice();
    const bad = [[Number.NaN], [], [1, 1], ...(actionSpace.kind === 'discrete' ? [[-1], [0.5], [3]] : [[Infinity]])];
    for (const action of bad) expect(() => environment.step(action, observation)).toThrow(HeedError);
    expect(() => environment.reset(4, new Float32Array(9))).toThrow(HeedError);
    expect(state).toEqual(before);
  });

  test(`${id} draws itself within its frame`, () => {
    environment.reset(5, observation);
    const { width, height, shapes } = environment.frame();
    expect(shapes.length).toBeGreaterThan(1);
    for (const shape of shapes) {
      const points = 'points' in shape ? shape.points : [shape.x, shape.y];
      for (const [i, value] of points.entries()) {
        expect(value).toBeGreaterThanOrEqual(-1);
        expect(value).toBeLessThanOrEqual((i % 2 === 0 ? width : height) + 1);
      }
    }
    environment.step([0], observation);
    expect(environment.frame()).not.toEqual({ width, height, shapes });
  });
});

test('a box action is clipped to its space', () => {
  const pushed = [2, 50].map((torque) => {
    const environment = pendulum();
    const observation = new Float32Array(3);
    environment.reset(0, observation);
    environment.step([torque], observation);
    return observation;
  });
  expect(pushed[1]).toEqual(pushed[0]);
});
