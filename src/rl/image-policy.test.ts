import { expect, test } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import { input, mean, square, trace } from '../engine/index.ts';
import { createVectorEnvironment, type Environment, sourceOf } from '../env/index.ts';
import { createParameters, createTrainStep } from '../nn/index.ts';
import { random } from '../random.ts';
import { createCritic, createForward } from './forward.ts';
import { createPolicyNetwork } from './policy.ts';
import { createPpo } from './ppo.ts';
import { ppoSchema } from './ppo-options.ts';

const keep = releasedAfterwards();

const shape = [2, 40, 36];
const size = 2 * 40 * 36;
const policy = () =>
  createPolicyNetwork(size, { kind: 'discrete', n: 3 }, { hidden: [], activation: 'tanh', gain: 1 }, { shape });

test('an image goes through convolutions that actor and critic have in common', () => {
  const { parameters, observationSize } = policy();
  expect(observationSize).toBe(size);
  expect(parameters.map(({ name }) => name)).toEqual([
    ...[0, 1, 2, 3].flatMap((i) => [`trunk.${i}.weight`, `trunk.${i}.bias`]),
    'actor.0.weight',
    'actor.0.bias',
    'critic.0.weight',
    'critic.0.bias',
  ]);
  const one = policy();
  const both = keep(
    trace((g) => {
      const x = input(g, 'x', ['n', size]);
      return { distribution: one.distribution(x), value: one.critic.apply(x) };
    }),
  );
  const alone = keep(trace((g) => ({ distribution: one.distribution(input(g, 'x', ['n', size])) })));
  expect(both.inputs.filter(({ name }) => name.startsWith('trunk')).length).toBe(8);
  expect(alone.inputs.length).toBe(11);
});

test('forward passes give distributions and values that depend on the pixels', () => {
  const one = policy();
  const parameters = keep(createParameters(one.parameters, random(2)));
  const [forward, critic] = [keep(createForward(one, parameters, 2)), keep(createCritic(one, parameters, 2))];
  for (let i = 0; i < 2 * size; i++) {
    const pixel = i < size ? 0 : (i * 7919) % 256;
    forward.observations[i] = pixel;
    critic.observations[i] = pixel;
  }
  forward.run();
  critic.run();
  for (const row of [0, 1]) {
    const total = [0, 1, 2].reduce((sum, a) => sum + Math.exp(forward.distribution[3 * row + a]), 0);
    expect(total).toBeCloseTo(1, 5);
  }
  expect(critic.values[0]).toBe(0); // black and no biases
  expect(Math.abs(critic.values[1])).toBeGreaterThan(0);
  expect(Math.abs(critic.values[1])).toBeLessThan(10);
});

test('both losses reach the convolutions', () => {
  const one = policy();
  const norm = (of: 'actor' | 'critic') => {
    const parameters = keep(createParameters([...one.parameters.slice(0, 8), ...one[of].parameters], random(2)));
    const step = keep(
      createTrainStep(parameters, { x: ['n', size] }, ({ x }) => mean(square(one[of].apply(x))), {
        dims: { n: 2 },
      }),
    );
    step.inputs.x.data.forEach((_, i, all) => {
      all[i] = (i * 31) % 256;
    });
    step.run();
    return (step.gradients.values['trunk.0.weight'].data as Float32Array).reduce((sum, d) => sum + d * d, 0);
  };
  expect(norm('actor')).toBeGreaterThan(0);
  expect(norm('critic')).toBeGreaterThan(0);
});

/** Observes six by six pixels, which flicker. */
const flicker = (): Environment => ({
  id: 'flicker',
  observationSpace: { kind: 'box', low: new Float32Array(36), high: new Float32Array(36).fill(255), shape: [1, 6, 6] },
  actionSpace: { kind: 'discrete', n: 2 },
  maxEpisodeSteps: 100,
  framesPerSecond: 1,
  reset(_, observation) {
    observation.fill(0);
  },
  step(action, observation) {
    observation.fill(observation[0] === 0 ? 200 : 0);
    return { reward: action[0], terminated: false, truncated: false };
  },
  frame: () => ({ width: 1, height: 1, shapes: [] }),
});

test('images are not normalized: the network has scaled them', async () => {
  const updated = async (normalizeObservations: boolean) => {
    const environment = createVectorEnvironment(sourceOf(flicker).batch(2), 0);
    environment.reset();
    const options = { environments: 2, horizon: 16, minibatch: 16, epochs: 1, hidden: [8], normalizeObservations };
    const agent = keep(createPpo(environment, ppoSchema.parse(options), 0));
    return { metrics: await agent.update(await agent.collect(), 0), saved: agent.save() };
  };
  expect(await updated(true)).toEqual(await updated(false));
});
