import { expect, it } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import { type EnvironmentSource, sourceOf } from './batch/source.ts';
import { createVectorEnvironment } from './batch/vector.ts';
import { withTimeLimit } from './dynamics.ts';
import { stackedSource } from './frame-stack.ts';

const keep = releasedAfterwards();

/** Shows 10 times its seed, plus its step; the actions that it allows change with the step. */
const counter = ({ mask = false, image = false } = {}) => {
  let [first, step] = [0, 0];
  return withTimeLimit({
    id: 'Counter',
    observationSpace: { kind: 'box', low: [0, -1], high: [200, 1], ...(image && { shape: [1, 1, 2] }) },
    actionSpace: { kind: 'discrete', n: 2 },
    maxEpisodeSteps: 3,
    framesPerSecond: 1,
    start(seed) {
      [first, step] = [10 * seed, 0];
    },
    advance(_, outcome) {
      step++;
      outcome.reward = 1;
    },
    observe: (seen) => seen.set([first + step, step % 2]),
    ...(mask && { mask: () => [1, step % 2] }),
  });
};
const stacked = (count: number, options?: Parameters<typeof counter>[0]): EnvironmentSource =>
  keep(
    stackedSource(
      sourceOf(() => counter(options)),
      count,
    ),
  );
const numbers = (observation: Float32Array) => [...observation].filter((_, i) => i % 2 === 0);

it('begins an episode with its first observation in every place, and then drops the oldest', () => {
  const environment = stacked(3).make();
  const observation = new Float32Array(6);
  environment.reset(2, observation);
  expect([...observation]).toEqual([20, 0, 20, 0, 20, 0]);
  environment.step([0], observation);
  environment.step([0], observation);
  expect([...observation]).toEqual([20, 0, 21, 1, 22, 0]);
  expect(environment.observationSpace).toMatchObject({ stack: 3, low: Float32Array.of(0, -1, 0, -1, 0, -1) });
});

it('is the same in a batch, where an episode ends, another begins, and one stays ended', () => {
  const batch = keep(stacked(3).batch(2));
  batch.reset([1, 2]);
  const step = () => batch.step(new Float32Array(2), [5, -1]);
  for (let t = 0; t < 3; t++) step();
  expect(numbers(batch.finalObservations)).toEqual([11, 12, 13, 21, 22, 23]);
  expect(numbers(batch.observations)).toEqual([50, 50, 50, 21, 22, 23]);
  step();
  expect(numbers(batch.observations)).toEqual([50, 50, 51, 21, 22, 23]);
});

it.each([0, 1, 2])('shows after a replay of %i steps what was seen then', (steps) => {
  const batch = keep(stacked(3).batch(1));
  batch.reset([4]);
  for (let t = 0; t < steps; t++) batch.step(new Float32Array(1), [-1]);
  const seen = [...batch.observations];
  batch.replay(0, 7, new Float32Array(0));
  batch.replay(0, 4, new Float32Array(steps));
  expect([...batch.observations]).toEqual(seen);
  batch.step(new Float32Array(1), [-1]);
  expect(numbers(batch.observations).at(-1)).toBe(41 + steps);
});

it('goes on from a checkpoint with the same stacks', () => {
  const create = () => keep(createVectorEnvironment(stacked(2).batch(2), 0));
  const [one, other] = [create(), create()];
  one.reset();
  for (let t = 0; t < 4; t++) one.step(new Float32Array(2));
  other.reset();
  other.restore(one.save());
  expect([...other.observations]).toEqual([...one.observations]);
});

it('stacks the channels of images, and has the mask of the latest observation alone', () => {
  expect(stacked(4, { image: true }).observationSpace.shape).toEqual([4, 1, 2]);
  const environment = stacked(2, { mask: true }).make();
  const observation = new Float32Array(6);
  environment.reset(0, observation);
  environment.step([0], observation);
  expect([...observation]).toEqual([0, 0, 1, 1, 1, 1]);
  expect(environment.observationSpace).toMatchObject({ mask: 2, stack: 2 });
});

it('is the environment itself with one', () => {
  const source = keep(sourceOf(counter));
  expect(stackedSource(source, 1)).toBe(source);
});
