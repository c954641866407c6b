import { describe, expect, it } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import { plainSource } from '../env/batch/source.ts';
import { createVectorEnvironment, type Environment, makeEnvironment, type StepResult, sourceOf } from '../env/index.ts';
import { loadEnvironment } from '../env/open/load.ts';
import { HeedError } from '../error.ts';
import { createEvaluator } from './evaluate.ts';
import { createCritic } from './forward.ts';
import { createPpo, type PpoMetrics } from './ppo.ts';
import { type PpoOptions, ppoSchema } from './ppo-options.ts';
import { ppoPresets } from './presets.ts';

const keep = releasedAfterwards();

/** A learner with its environments, started; small unless told. */
function start(make: string | (() => Environment), options: Partial<PpoOptions> = {}, seed = 0) {
  const settings = ppoSchema.parse({
    environments: 4,
    horizon: 16,
    minibatch: 32,
    epochs: 3,
    hidden: [16],
    ...options,
  });
  const factory = typeof make === 'string' ? () => makeEnvironment(make) : make;
  const environment = createVectorEnvironment(plainSource(factory).batch(settings.environments), seed);
  environment.reset();
  const agent = keep(createPpo(environment, settings, seed));
  const train = async (updates: number, progress = 0) => {
    const metrics: PpoMetrics[] = [];
    for (let i = 0; i < updates; i++) metrics.push(await agent.update(await agent.collect(), progress));
    return metrics;
  };
  return { environment, agent, train, parameters: () => agent.parameters.flat.slice() };
}

type Started = ReturnType<typeof start>;
const checkpoint = ({ agent, environment }: Started) => {
  const { state, tensors } = agent.save();
  return structuredClone({ state: JSON.parse(JSON.stringify(state)), tensors, environment: environment.save() });
};
const resume = (
  { agent, environment }: Started,
  { state, tensors, environment: world }: ReturnType<typeof checkpoint>,
) => {
  agent.restore(state, tensors);
  environment.restore(world);
};

/** Observes [number of the episode's step]; `outcome` says what each step of the n-th environment made brings. */
const scripted = (outcome: (made: number, step: number) => StepResult) => {
  let count = 0;
  return (): Environment => {
    const number = count++;
    let step = 0;
    return {
      id: 'Scripted',
      observationSpace: { kind: 'box', low: Float32Array.of(0), high: Float32Array.of(100) },
      actionSpace: { kind: 'discrete', n: 2 },
      maxEpisodeSteps: 100,
      framesPerSecond: 1,
      reset(_, observation) {
        step = 0;
        observation[0] = 0;
      },
      step(_, observation) {
        const result = outcome(number, step++);
        observation[0] = step / 10;
        return result;
      },
      frame: () => ({ width: 1, height: 1, shapes: [] }),
    };
  };
};

const normalized = { normalizeObservations: true, normalizeRewards: true, entropyCoefficient: 0.01, valueClip: 0.2 };

describe.each(['CartPole-v1', 'Pendulum-v1', 'LunarLander-v3'])('%s', (id) => {
  it('is learned the same from the same seed, and otherwise from another', async () => {
    const [one, same, other] = [0, 0, 1].map((seed) => start(id, normalized, seed));
    expect(same.parameters()).toEqual(one.parameters());
    expect(await one.train(4)).toEqual(await same.train(4));
    expect(same.parameters()).toEqual(one.parameters());
    await other.train(4);
    expect(other.parameters()).not.toEqual(one.parameters());
  });

  it.each([0, 1, 3])('goes on from a checkpoint after %d updates as if it had never stopped', async (updates) => {
    const whole = start(id, normalized);
    await whole.train(updates);
    const saved = checkpoint(whole);
    const resumed = start(id, normalized);
    await resumed.train(2); // whatever it knew before is forgotten
    resume(resumed, saved);
    expect(await resumed.train(3)).toEqual(await whole.train(3));
    expect(resumed.parameters()).toEqual(whole.parameters());
    expect(checkpoint(resumed)).toEqual(checkpoint(whole));
  });

  it('shows evaluations what the networks learned from, and is not moved by them', async () => {
    const [watched, alone] = [start(id, normalized), start(id, normalized)];
    const { agent } = watched;
    const { policy, parameters, prepare } = agent;
    const batch = sourceOf(() => makeEnvironment(id)).batch(3);
    const evaluator = keep(createEvaluator(batch, policy, parameters, { seed: 0, prepare }));
    for (let i = 0; i < 3; i++) {
      await watched.train(1);
      await alone.train(1);
      await evaluator.run();
    }
    expect(watched.parameters()).toEqual(alone.parameters());
  });
});

it('improves on CartPole within 8,000 steps', async () => {
  const { agent, train } = start('CartPole-v1', {
    environments: 8,
    horizon: 32,
    minibatch: 256,
    epochs: 20,
    hidden: [64, 64],
  });
  const batch = sourceOf(() => makeEnvironment('CartPole-v1')).batch(20);
  const evaluator = keep(createEvaluator(batch, agent.policy, agent.parameters, { seed: 0 }));
  const before = (await evaluator.run()).mean;
  await train(30);
  expect(before).toBeLessThan(60);
  expect((await evaluator.run()).mean).toBeGreaterThan(120);
});

describe('annealing', () => {
  const id = 'CartPole-v1';

  it('takes the learning rate from its start to its end on a line', async () => {
    const { train } = start(id, { learningRate: 0.01, finalLearningRate: 0.2 });
    for (const [progress, expected] of [
      [0, 0.01],
      [0.5, 0.006],
      [1, 0.002],
      [1.5, 0.002],
    ]) {
      expect((await train(1, progress))[0].learning_rate).toBeCloseTo(expected, 12);
    }
  });

  it('to nothing leaves the parameters as they are', async () => {
    const { train, parameters } = start(id);
    await train(1);
    const before = parameters();
    await train(1, 1);
    expect(parameters()).toEqual(before);
  });

  it('narrows the clip range if told, and only later on', async () => {
    const run = async (annealClip: boolean, progress: number) => {
      const learner = start(id, { annealClip, learningRate: 0.02, finalLearningRate: 1 / 2, epochs: 6, clip: 0.05 });
      return (await learner.train(1, progress))[0]['policy/clip_fraction'];
    };
    expect(await run(true, 0)).toBe(await run(false, 0));
    expect(await run(true, 1)).toBeGreaterThan(await run(false, 1));
  });

  it('lets the entropy bonus fall with the rate', async () => {
    // so large a bonus is all that is learned: what is left of it shows in the gradient before clipping
    const norm = async (progress: number) =>
      (
        await start('Pendulum-v1', {
          entropyCoefficient: 1e6,
          valueCoefficient: 0,
          epochs: 1,
          finalLearningRate: 0.25,
        }).train(1, progress)
      )[0]['gradient/norm'];
    expect((await norm(1)) / (await norm(0))).toBeCloseTo(0.25, 3);
  });
});

it('stops an update where the policy has moved too far', async () => {
  const settings = { learningRate: 0.02, epochs: 20 };
  const [free, held] = [start('CartPole-v1', settings), start('CartPole-v1', { ...settings, targetKl: 0.005 })];
  const [[freely], [clipped]] = [await free.train(1), await held.train(1)];
  const steps = ({ agent }: Started) => agent.save().tensors['optimizer.steps'].data[0];
  expect(steps(free)).toBe(40);
  expect(steps(held)).toBeGreaterThan(0);
  expect(steps(held)).toBeLessThan(40);
  expect(clipped['policy/approx_kl']).toBeLessThan(1.5 * 0.005);
  expect(freely['policy/approx_kl']).toBeGreaterThan(1.5 * 0.005);
});

it('refuses a minibatch that does not divide what is collected, and names one that does', () => {
  const wrong = () => start('CartPole-v1', { minibatch: 48 });
  expect(wrong).toThrow(HeedError);
  expect(wrong).toThrow('a minibatch of 48 does not divide 4 environments × 16 steps = 64');
  try {
    wrong();
  } catch (error) {
    expect((error as HeedError).hint).toContain('--ppo.minibatch 32');
  }
});

describe('where episodes end', () => {
  const DISCOUNT = 0.9;
  // pays its number; environment 0 is cut every 5 steps, 1 ends every 7, 2 goes on
  const outcome = (number: number, step: number): StepResult => ({
    reward: 1 + number,
    truncated: number === 0 && step === 4,
    terminated: number === 1 && step === 6,
  });

  it('the value target takes the final observation’s value after a cut, none after an end, and goes on else', async () => {
    const [count, horizon] = [3, 16];
    const { agent, environment } = start(scripted(outcome), {
      environments: count,
      horizon,
      minibatch: count * horizon,
      epochs: 1,
      lambda: 1, // returns are then sums of rewards, and a value where the sum stops
      discount: DISCOUNT,
      finalLearningRate: 0,
    });
    const rollout = await agent.collect();
    const critic = keep(createCritic(agent.policy, agent.parameters, 1));
    const value = (observation: number) => {
      critic.observations[0] = observation;
      critic.run();
      return critic.values[0];
    };
    let expected = 0;
    for (let n = 0; n < count; n++) {
      let sum = value(environment.observations[n]);
      for (let t = horizon - 1; t >= 0; t--) {
        const step = rollout.episodeSteps[t * count + n];
        const { reward, terminated, truncated } = outcome(n, step);
        if (terminated) sum = 0;
        if (truncated) sum = value((step + 1) / 10); // not the next episode's first, which stands in `observations`
        sum = reward + DISCOUNT * sum;
        expected += (0.5 * (value(rollout.observations[t * count + n]) - sum) ** 2) / (count * horizon);
      }
    }
    expect((await agent.update(rollout, 1))['loss/value']).toBeCloseTo(expected, 4);
  });

  it('a rollout’s next observation is the one the step led to, not the next episode’s first', async () => {
    const { agent } = start(scripted(outcome), { environments: 3, horizon: 16, minibatch: 48 });
    const { nextObservations, episodeSteps, truncated, terminated } = await agent.collect();
    nextObservations.forEach((next, i) => {
      expect(next).toBe(Math.fround((episodeSteps[i] + 1) / 10));
    });
    expect([...truncated].reduce((a, b) => a + b)).toBe(3);
    expect([...terminated].reduce((a, b) => a + b)).toBe(2);
  });
});

describe.each([false, true])('with normalized rewards: %s', (normalizeRewards) => {
  it.each([Number.NaN, Infinity, -Infinity])('a reward of %d is refused, and its place named', async (bad) => {
    const make = scripted(() => ({ reward: 1, terminated: false, truncated: false }));
    const { agent, parameters } = start(make, { normalizeRewards });
    const before = parameters();
    const rollout = await agent.collect();
    rollout.rewards[5 * 4 + 2] = bad;
    await expect(agent.update(rollout, 0)).rejects.toThrow(HeedError);
    await expect(agent.update(rollout, 0)).rejects.toThrow(`the reward of step 5 in environment 2 is ${bad}`);
    expect(parameters()).toEqual(before);
    // nothing of it is left
    const metrics = await agent.update(
      { ...rollout, rewards: rollout.rewards.map((r) => (Number.isFinite(r) ? r : 1)) },
      0,
    );
    expect(Object.values(metrics).every(Number.isFinite)).toBe(true);
  });
});

it('leaves the rewards it is given as they are', async () => {
  const { agent } = start('Pendulum-v1', normalized);
  const rollout = await agent.collect();
  const before = rollout.rewards.slice();
  await agent.update(rollout, 0);
  expect(rollout.rewards).toEqual(before);
});

it.each(Object.keys(ppoPresets))('the preset of %s can be learned with', async (id) => {
  const { agent } = start(await loadEnvironment(id), ppoSchema.parse(ppoPresets[id].options));
  expect(agent.parameters.flat.length).toBeGreaterThan(0);
});
