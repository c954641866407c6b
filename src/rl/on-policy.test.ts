import { describe, expect, it } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import { createVectorEnvironment, makeEnvironment, sourceOf } from '../env/index.ts';
import { advantages } from '../nn/index.ts';
import { createA2c } from './a2c.ts';
import { a2cSchema } from './a2c-options.ts';
import { createEvaluator } from './evaluate.ts';
import { createCritic } from './forward.ts';
import type { OnPolicy } from './on-policy.ts';
import { createTrpo } from './trpo.ts';
import { trpoSchema } from './trpo-options.ts';

const keep = releasedAfterwards();

const algorithms = {
  a2c: { schema: a2cSchema, create: createA2c, small: { environments: 4, hidden: [16] } },
  trpo: {
    schema: trpoSchema,
    create: createTrpo,
    small: { environments: 4, horizon: 16, minibatch: 32, hidden: [16] },
  },
} as const;
type Name = keyof typeof algorithms;

/** A learner with its environments, started; small unless told. */
function start<A extends Name>(name: A, id: string, options: object = {}, seed = 0) {
  const { schema, create, small } = algorithms[name];
  const settings = schema.parse({ ...small, ...options });
  const environment = createVectorEnvironment(sourceOf(() => makeEnvironment(id)).batch(settings.environments), seed);
  environment.reset();
  const agent = keep(create(environment, settings as never, seed) as ReturnType<(typeof algorithms)[A]['create']>);
  const train = async (updates: number, progress = 0) => {
    const metrics: object[] = [];
    for (let i = 0; i < updates; i++)
      metrics.push(await (agent as OnPolicy<object>).update(await agent.collect(), progress));
    return metrics;
  };
  return { environment, agent, train, settings };
}

describe.each(['a2c', 'trpo'] as const)('%s', (name) => {
  const normalized = { normalizeObservations: true, normalizeRewards: true };

  it.each(['CartPole-v1', 'Pendulum-v1'])(
    'is learned the same from the same seed, and otherwise from another: %s',
    async (id) => {
      const [one, same, other] = [0, 0, 1].map((seed) => start(name, id, normalized, seed));
      expect(await one.train(4)).toEqual(await same.train(4));
      expect(same.agent.parameters.flat).toEqual(one.agent.parameters.flat);
      await other.train(4);
      expect(other.agent.parameters.flat).not.toEqual(one.agent.parameters.flat);
    },
  );

  it.each([0, 3])('goes on from a checkpoint after %d updates as if it had never stopped', async (updates) => {
    const whole = start(name, 'Pendulum-v1', normalized);
    await whole.train(updates);
    const { state, tensors } = whole.agent.save();
    const saved = structuredClone({
      state: JSON.parse(JSON.stringify(state)),
      tensors,
      world: whole.environment.save(),
    });
    const resumed = start(name, 'Pendulum-v1', normalized);
    await resumed.train(2); // whatever it knew before is forgotten
    resumed.agent.restore(saved.state, saved.tensors);
    resumed.environment.restore(saved.world);
    expect(await resumed.train(3)).toEqual(await whole.train(3));
    expect(resumed.agent.save()).toEqual(whole.agent.save());
  });
});

it.each([
  ['a2c', 'rmsprop', 500, { environments: 8, learningRate: 2e-3, optimizer: 'rmsprop' }],
  ['a2c', 'adam', 500, { environments: 8, learningRate: 2e-3, optimizer: 'adam' }],
  ['trpo', 'adam', 15, { environments: 4, horizon: 256, minibatch: 128, discount: 0.98, lambda: 0.8, damping: 1e-3 }],
] as const)('%s by %s improves on CartPole within 20,000 steps', async (name, _, updates, options) => {
  const { agent, train } = start(name, 'CartPole-v1', { hidden: [64], ...options });
  const batch = sourceOf(() => makeEnvironment('CartPole-v1')).batch(20);
  const evaluator = keep(createEvaluator(batch, agent.policy, agent.parameters, { seed: 0 }));
  const before = (await evaluator.run()).mean;
  await train(updates);
  expect(before).toBeLessThan(60);
  expect((await evaluator.run()).mean).toBeGreaterThan(120);
});

describe('A2C', () => {
  it('learns from its advantages as they are, by the policy that acted', async () => {
    const { agent, environment, settings } = start('a2c', 'Pendulum-v1', { entropyCoefficient: 0.5 });
    const { horizon, discount, lambda } = settings;
    const rollout = await agent.collect();
    const count = environment.count;
    const critic = keep(createCritic(agent.policy, agent.parameters, (horizon + 1) * count));
    critic.observations.set(rollout.observations);
    critic.observations.set(environment.observations, rollout.observations.length);
    critic.run();
    const [advantage, returns] = [new Float32Array(horizon * count), new Float32Array(horizon * count)];
    const { rewards, terminated } = rollout;
    advantages(
      { steps: horizon, count, rewards, values: critic.values, terminated, discount, lambda },
      advantage,
      returns,
    );
    const mean = (f: (i: number) => number) => advantage.reduce((sum, _, i) => sum + f(i), 0) / advantage.length;
    const [policyLoss, valueLoss] = [
      mean((i) => -advantage[i] * rollout.logProbs[i]),
      mean((i) => 0.5 * (critic.values[i] - returns[i]) ** 2),
    ];
    const metrics = await agent.update(rollout, 0);
    expect(metrics['loss/policy']).toBeCloseTo(policyLoss, 4);
    expect(metrics['loss/value']).toBeCloseTo(valueLoss, 4);
    expect(metrics['policy/entropy']).toBeCloseTo(0.5 * Math.log(2 * Math.PI * Math.E), 5); // σ = 1 at first
  });

  it('keeps its learning rate unless told', async () => {
    expect((await start('a2c', 'CartPole-v1').train(1, 0.5))[0]).toMatchObject({ learning_rate: 7e-4 });
    expect((await start('a2c', 'CartPole-v1', { finalLearningRate: 0 }).train(1, 0.5))[0]).toMatchObject({
      learning_rate: 3.5e-4,
    });
  });
});
