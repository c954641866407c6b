import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { HeedError } from '../../error.ts';
import { makeEnvironment } from '../open/make.ts';
import { lunarLander } from './lunar-lander.ts';
import { scriptedLander } from './scripted-lander.ts';

/** Recorded from Gymnasium, with the numbers in [0, 1) that it drew. */
interface Recording {
  episodes: {
    draws: number[];
    initialObservation: number[];
    actions: (number | number[])[];
    observations: number[][];
    rewards: number[];
  }[];
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i])));

test.each(['LunarLander-v3', 'LunarLanderContinuous-v3'])(
  '%s flies, touches and comes to rest as in the recorded episodes',
  (name) => {
    const { episodes }: Recording = JSON.parse(
      readFileSync(new URL(`../../../test/fixtures/envs/${name}.json`, import.meta.url), 'utf8'),
    );
    for (const { draws, initialObservation, actions, observations, rewards } of episodes) {
      let drawn = 0;
      const environment = lunarLander({
        continuous: name.includes('Continuous'),
        uniformOf: () => () => draws[drawn++],
      });
      const observation = new Float32Array(8);
      environment.reset(0, observation);
      expect(distance(observation, initialObservation)).toBeLessThan(1e-6);
      for (const [t, action] of actions.entries()) {
        const { reward, terminated } = environment.step([action].flat(), observation);
        // float32 there, float64 here
        expect(distance(observation, observations[t])).toBeLessThan(1e-4);
        expect(Math.abs(reward - rewards[t])).toBeLessThan(5e-3);
        expect(terminated).toBe(t === actions.length - 1);
      }
    }
  },
);

test('the scripted lander lands', () => {
  const environment = lunarLander();
  const observation = new Float32Array(8);
  const returns = Array.from({ length: 10 }, (_, seed) => {
    environment.reset(seed, observation);
    for (let sum = 0; ; ) {
      const { reward, terminated, truncated } = environment.step([scriptedLander(observation)], observation);
      sum += reward;
      if (terminated || truncated) return sum;
    }
  });
  expect(returns.filter((sum) => sum >= 200).length).toBeGreaterThanOrEqual(8);
  expect(returns.reduce((a, b) => a + b) / returns.length).toBeGreaterThan(200);
});

test('the same seed and actions give the same bits, whatever else was simulated', () => {
  const live = (environment: ReturnType<typeof lunarLander>, between: () => void) => {
    const observation = new Float32Array(8);
    const seen: number[] = [];
    environment.reset(12, observation);
    for (let t = 0; ; t++) {
      between();
      const outcome = environment.step([t % 5 === 0 ? (t >> 2) % 4 : scriptedLander(observation)], observation);
      seen.push(...observation, outcome.reward);
      if (outcome.terminated || outcome.truncated) return seen;
    }
  };
  const alone = live(lunarLander(), () => {});
  expect(alone.length).toBeGreaterThan(900);

  const other = lunarLander();
  const observation = new Float32Array(8);
  let running = false;
  let episodes = 0;
  const interleaved = live(lunarLander(), () => {
    for (let k = 0; k < 3; k++) {
      if (!running) other.reset(episodes++, observation);
      const { terminated, truncated } = other.step([(k + episodes) % 4], observation);
      running = !terminated && !truncated;
    }
  });
  expect(episodes).toBeGreaterThan(3);
  expect(interleaved).toEqual(alone);
  expect(live(other, () => {})).toEqual(alone);
});

test('draws itself within its frame, with a flame while an engine burns', () => {
  const environment = makeEnvironment('LunarLander-v3');
  const observation = new Float32Array(8);
  environment.reset(1, observation);
  const still = environment.frame();
  environment.step([2], observation);
  expect(environment.frame().shapes.length).toBe(still.shapes.length + 1);
  expect(still).toMatchObject({ width: 600, height: 400 });
});

test('refuses what is not an action, and a step after the end', () => {
  const environment = lunarLander();
  const observation = new Float32Array(8);
  environment.reset(1, observation);
  for (const action of [[4], [-1], [1.5], [Number.NaN], []]) {
    expect(() => environment.step(action, observation)).toThrow(HeedError);
  }
  while (!environment.step([0], observation).terminated);
  expect(() => environment.step([0], observation)).toThrow(HeedError);
});
