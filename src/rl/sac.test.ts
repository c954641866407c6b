import { describe, expect, it } from 'vitest';
import { checkGradient, evaluate, expectClose, type Inputs, numbers, of } from '../../test/support/gradients.ts';
import { releasedAfterwards } from '../../test/support/released.ts';
import { createVectorEnvironment, type Environment, makeEnvironment, type Space, sourceOf } from '../env/index.ts';
import { HeedError } from '../error.ts';
import { createParameters } from '../nn/index.ts';
import { random } from '../random.ts';
import { createEvaluator } from './evaluate.ts';
import { createSac, type SacMetrics } from './sac.ts';
import { type SacOptions, sacSchema } from './sac-options.ts';
import { createSquashedPolicy } from './squashed-policy.ts';

const keep = releasedAfterwards();

/** A learner with its environments, started; small unless told. */
function start(make: string | (() => Environment), options: Partial<SacOptions> = {}, seed = 0) {
  const settings = sacSchema.parse({ hidden: [32, 32], minibatch: 64, bufferSize: 10_000, ...options });
  const factory = typeof make === 'string' ? () => makeEnvironment(make) : make;
  const environment = createVectorEnvironment(sourceOf(factory).batch(settings.environments), seed);
  environment.reset();
  const agent = keep(createSac(environment, settings, seed));
  return {
    environment,
    agent,
    async explore(steps: number) {
      for (let i = 0; i < steps; i++) agent.remember(await agent.collect('uniform'));
    },
    train: async (updates: number) => {
      const metrics: SacMetrics[] = [];
      for (let i = 0; i < updates; i++) metrics.push(await agent.update(await agent.collect()));
      return metrics;
    },
    evaluator: (episodes: number) =>
      keep(createEvaluator(sourceOf(factory).batch(episodes), agent.policy, agent.parameters, { seed })),
  };
}

describe('a squashed policy', () => {
  const box: Space = { kind: 'box', low: Float32Array.of(-1, -2), high: Float32Array.of(1, 6) };
  const policy = createSquashedPolicy(3, box, { hidden: [4], activation: 'tanh' });
  const parameters = createParameters(policy.actor.parameters, random(0));
  const weights: Inputs = Object.fromEntries(
    policy.actor.parameters.map(({ name, shape }) => [name, of(shape, [...parameters.values[name].data])]),
  );
  parameters[Symbol.dispose]();
  const inputs = {
    observations: numbers([5, 3], { seed: 1 }),
    noise: numbers([5, 2], { low: -2, high: 2, seed: 2 }),
    ...weights,
  };
  const logProbability = (t: Parameters<Parameters<typeof evaluate>[0]>[0]) =>
    policy.sample(t.observations, t.noise).logProbability;

  it('has the density of what it draws, by the change of variables', () => {
    const u = (row: number, j: number, noise = inputs.noise.data[2 * row + j]) => {
      const h = [0, 1, 2, 3].map((k) =>
        Math.tanh(
          [0, 1, 2].reduce(
            (s, i) => s + inputs.observations.data[3 * row + i] * weights['actor.0.weight'].data[3 * k + i],
            0,
          ),
        ),
      );
      const out = (k: number) => h.reduce((s, x, i) => s + x * weights['actor.1.weight'].data[4 * k + i], 0);
      const deviation = Math.exp(out(2 + j));
      return { u: out(j) + deviation * noise, deviation };
    };
    const expected = [0, 1, 2, 3, 4].map((row) =>
      [0, 1].reduce((total, j) => {
        const noise = inputs.noise.data[2 * row + j];
        const { u: x, deviation } = u(row, j);
        const density = Math.exp(-0.5 * noise * noise) / (deviation * Math.sqrt(2 * Math.PI));
        return total + Math.log(density / (1 - Math.tanh(x) ** 2));
      }, 0),
    );
    expectClose(evaluate(logProbability, inputs), expected, 1e-5);
  });

  it('has the gradients of its actions and of their log-probability', () => {
    checkGradient(logProbability, inputs, { symbols: false, wrt: Object.keys(weights) });
    checkGradient((t) => policy.sample(t.observations, t.noise).action, inputs, {
      symbols: false,
      wrt: Object.keys(weights),
    });
  });

  it('keeps within the bounds, and its log-probability finite, however far out it draws', () => {
    const far = { ...inputs, noise: of([5, 2], new Array(10).fill(200)) };
    const actions = evaluate((t) => policy.scaled(policy.sample(t.observations, t.noise).action), far);
    actions.forEach((action, i) => {
      expect(action).toBeGreaterThanOrEqual(box.low[i % 2]);
      expect(action).toBeLessThanOrEqual(box.high[i % 2]);
    });
    expect([...evaluate(logProbability, far)].every(Number.isFinite)).toBe(true);
  });

  it('is refused where actions are a choice, or have no bounds', () => {
    const wrong = (space: Space) => () => createSquashedPolicy(3, space, { hidden: [4], activation: 'tanh' });
    expect(wrong({ kind: 'discrete', n: 3 })).toThrow('here an action is a choice of 3');
    const open = Float32Array.of(Number.POSITIVE_INFINITY);
    expect(wrong({ kind: 'box', low: open.map((x) => -x), high: open })).toThrow('here an action is without bounds');
  });
});

/** One step an episode: the reward is highest where the action is −½ of its bounds (±3), and then 2. */
const aim = (): Environment => ({
  id: 'Aim',
  observationSpace: { kind: 'box', low: Float32Array.of(0), high: Float32Array.of(1) },
  actionSpace: { kind: 'box', low: Float32Array.of(-3), high: Float32Array.of(3) },
  maxEpisodeSteps: 1,
  framesPerSecond: 1,
  reset: (_, observation) => void observation.fill(0.5),
  step: (action) => ({ reward: 2 - (action[0] + 1.5) ** 2, terminated: true, truncated: false }),
  frame: () => ({ width: 1, height: 1, shapes: [] }),
});

it('finds the best action, and its value is the reward alone where nothing follows', async () => {
  const { explore, train, evaluator } = start(aim, { learningRate: 3e-3, temperature: 0.01 });
  await explore(200);
  const last = (await train(600)).at(-1)!;
  expect((await evaluator(1).run()).mean).toBeGreaterThan(1.95);
  expect(last['value/mean']).toBeGreaterThan(1.7);
  expect(last['value/mean']).toBeLessThan(2.3);
});

it('brings the entropy to what it is told, by the temperature', async () => {
  const { explore, train } = start(aim, { learningRate: 3e-3, targetEntropy: -0.5, initialTemperature: 0.1 });
  await explore(100);
  const late = (await train(1200)).slice(-200);
  const entropy = late.reduce((sum, metrics) => sum + metrics['policy/entropy'], 0) / late.length;
  expect(Math.abs(entropy + 0.5)).toBeLessThan(0.2);
});

it('swings Pendulum up within 4,000 steps', async () => {
  const { explore, train, evaluator } = start('Pendulum-v1', { learningRate: 3e-3, discount: 0.95, minibatch: 32 });
  await explore(100);
  await train(3900);
  expect((await evaluator(10).run()).mean).toBeGreaterThan(-400);
});

describe('on Pendulum', () => {
  const many = { environments: 3, horizon: 2, gradientSteps: 4, targetInterval: 3, minibatch: 16 };
  const parameters = ({ agent }: ReturnType<typeof start>) => agent.parameters.flat.slice();

  it('is learned the same from the same seed, and otherwise from another', async () => {
    const [one, same, other] = [0, 0, 1].map((seed) => start('Pendulum-v1', many, seed));
    for (const each of [one, same, other]) await each.explore(3);
    expect(await one.train(4)).toEqual(await same.train(4));
    expect(parameters(same)).toEqual(parameters(one));
    await other.train(4);
    expect(parameters(other)).not.toEqual(parameters(one));
  });

  it.each([0, 5])('goes on from a checkpoint after %d updates as if it had never stopped', async (updates) => {
    const settings = { ...many, bufferSize: 25 }; // full, and begun anew, within the second half
    const whole = start('Pendulum-v1', settings);
    await whole.explore(1);
    await whole.train(updates);
    const { state, tensors } = whole.agent.save();
    const saved = structuredClone({
      state: JSON.parse(JSON.stringify(state)),
      tensors,
      world: whole.environment.save(),
    });
    const resumed = start('Pendulum-v1', settings);
    await resumed.explore(2); // whatever it knew before is forgotten
    await resumed.train(2);
    resumed.agent.restore(saved.state, saved.tensors);
    resumed.environment.restore(saved.world);
    expect(await resumed.train(3)).toEqual(await whole.train(3));
    expect(resumed.agent.save()).toEqual(whole.agent.save());
  });

  it('refuses a reward that is not finite, and remembers nothing of the rollout', async () => {
    const { agent } = start('Pendulum-v1', many);
    const rollout = await agent.collect();
    rollout.rewards[4] = Number.NaN;
    await expect(agent.update(rollout)).rejects.toThrow(HeedError);
    await expect(agent.update(rollout)).rejects.toThrow('the reward of step 1 in environment 1 is NaN');
    expect(agent.buffer.length).toBe(0);
  });

  it('forgets what its critics knew, and not the policy, where told', async () => {
    const { agent, explore, train } = start('Pendulum-v1', many);
    await explore(2);
    await train(2);
    const before = agent.save();
    const saved = structuredClone(before.tensors);
    agent.resetCritics();
    const { tensors } = agent.save();
    expect(tensors['actor.0.weight']).toEqual(saved['actor.0.weight']);
    expect(tensors['critic.0.0.weight']).not.toEqual(saved['critic.0.0.weight']);
    expect(tensors['target.1.0.weight'].data).toEqual(tensors['critic.1.0.weight'].data);
    expect(tensors['optimizer.critics.steps'].data[0]).toBe(0);
  });
});

it('keeps the latest transitions, each with what it led to', async () => {
  const { agent, explore } = start('Pendulum-v1', { environments: 2, bufferSize: 7 });
  await explore(3);
  expect([agent.buffer.length, agent.buffer.next]).toEqual([6, 6]);
  const rollout = await agent.collect('uniform');
  agent.remember(rollout);
  expect([agent.buffer.length, agent.buffer.next]).toEqual([7, 1]);
  expect(agent.buffer.observations.subarray(18, 21)).toEqual(rollout.observations.subarray(0, 3));
  expect(agent.buffer.nextObservations.subarray(0, 3)).toEqual(rollout.nextObservations.subarray(3, 6));
  expect([agent.buffer.rewards[6], agent.buffer.rewards[0]]).toEqual([...rollout.rewards]);
});
