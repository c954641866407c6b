import { expect, test } from 'vitest';
import { HeedError } from '../error.ts';
import { someAllowed } from './action-mask.ts';
import { createVectorEnvironment, type Environment, random, sourceOf, withTimeLimit } from './index.ts';

type Mask = (step: number) => ArrayLike<number | boolean>;

/** Counts its steps, of which each copy's mask is a function. */
const counter = (mask: Mask, more: Partial<Environment> = {}) => {
  let step = 0;
  return withTimeLimit({
    id: 'Counter',
    observationSpace: { kind: 'box', low: [0], high: [9] },
    actionSpace: { kind: 'discrete', n: 3 },
    maxEpisodeSteps: 4,
    framesPerSecond: 1,
    start() {
      step = 0;
    },
    advance: (_, outcome) => {
      step++;
      outcome.terminated = step === 3;
    },
    observe(seen) {
      seen[0] = step;
    },
    mask: () => mask(step),
    ...(more as object),
  });
};
const vector = (mask: Mask, count = 2) => {
  const environment = createVectorEnvironment(sourceOf(() => counter(mask)).batch(count), 0);
  environment.reset();
  return environment;
};

test('a mask is the end of an observation, of the first and of the last one of an episode too', () => {
  const environment = vector((step) => [step === 0, step === 1, step === 2]);
  expect(environment.observationSpace).toMatchObject({ mask: 3, low: new Float32Array(4) });
  expect([...environment.observations]).toEqual([0, 1, 0, 0, 0, 1, 0, 0]);
  environment.step(Float32Array.of(0, 0));
  environment.step(Float32Array.of(1, 1));
  expect([...environment.observations]).toEqual([2, 0, 0, 1, 2, 0, 0, 1]);
  // an episode that is over needs no actions: the mask of its last state is empty, that of the next episode is its own
  environment.step(Float32Array.of(2, 2));
  expect([...environment.terminated]).toEqual([1, 1]);
  expect([...environment.finalObservations]).toEqual([3, 1, 1, 1, 3, 1, 1, 1]);
  expect([...environment.observations]).toEqual([0, 1, 0, 0, 0, 1, 0, 0]);
});

test('random actions are drawn from those that are allowed, each as often', () => {
  const environment = vector(() => [1, 0, 1]);
  const draws = random(0);
  const chosen = Array.from({ length: 2000 }, () =>
    someAllowed(environment.observationSpace, environment.observations.subarray(4), 3, draws),
  );
  expect(chosen).not.toContain(1);
  expect(chosen.filter((action) => action === 2).length / 2000).toBeCloseTo(0.5, 1);
});

test.each<[string, Mask, RegExp]>([
  [
    'allows nothing',
    (step) => (step === 2 ? [0, 0, 0] : [1, 1, 1]),
    /"Counter" threw at step 3 \(episode 1 of copy 1, step 2\): mask\(\) allows none of its 3 actions/,
  ],
  [
    'is of another size',
    (step) => (step === 2 ? [1, 1] : [1, 1, 1]),
    /step 2\): mask\(\) returned 2, expected 3 values/,
  ],
  ['is none', (step) => (step === 2 ? (undefined as never) : [1, 1, 1]), /mask\(\) returned undefined, expected 3/],
  ['is no truth', (step) => (step === 2 ? [1, 0.5, 1] : [1, 1, 1]), /mask\(\) returned 0.5 for action 1/],
])('a mask that %s names environment and step', (_, mask, message) => {
  // the trial of one copy sees it first, with the environment's name
  expect(() => sourceOf(() => counter(mask)).batch(2)).not.toThrow();
  const environment = vector(mask);
  environment.step(Float32Array.of(0, 0));
  expect(() => environment.step(Float32Array.of(0, 0))).toThrow(message);
});

test('actions that are numbers have no mask', () => {
  const numbers = () => counter(() => [1], { actionSpace: { kind: 'box', low: [0], high: [1] } as never });
  expect(() => sourceOf(numbers)).toThrow(HeedError);
  expect(() => sourceOf(numbers)).toThrow('these actions are numbers');
});
