import { describe, expect, it } from 'vitest';
import { type Environment, makeEnvironment, sourceOf } from '../env/index.ts';
import { createParameters } from '../nn/index.ts';
import { random, seedFor } from '../random.ts';
import { createEvaluator, meanAndDeviation } from './evaluate.ts';
import { createPolicyNetwork } from './policy.ts';

/**
 * Lasts as many steps as its seed says (at most 9) and pays the action: the larger of two numbers it shows is the
 * better.
 */
const choosing =
  (seeds: number[] = []) =>
  (): Environment => {
    let [left, better] = [0, 0];
    return {
      id: 'Choosing',
      observationSpace: { kind: 'box', low: new Float32Array(1).fill(-1), high: new Float32Array(1).fill(1) },
      actionSpace: { kind: 'discrete', n: 2 },
      maxEpisodeSteps: 9,
      framesPerSecond: 1,
      reset(seed, observation) {
        seeds.push(seed);
        left = 1 + (seed % 9);
        better = seed % 2;
        observation[0] = better ? 1 : -1;
      },
      step(action) {
        if (left <= 0) throw new Error('stepped after its end');
        left--;
        return { reward: action[0] === better ? 1 : 0, terminated: left === 0, truncated: false };
      },
      frame: () => ({ width: 1, height: 1, shapes: [] }),
    };
  };

interface Options extends Partial<Parameters<typeof createEvaluator>[3]> {
  episodes: number;
}

function evaluator(make: () => Environment, { episodes, ...options }: Options) {
  const { observationSpace, actionSpace } = make();
  const policy = createPolicyNetwork(observationSpace.low.length, actionSpace, {
    hidden: [],
    activation: 'tanh',
    gain: 1,
  });
  const parameters = createParameters(policy.parameters, random(0));
  const made = createEvaluator(sourceOf(make).batch(episodes), policy, parameters, { seed: 3, ...options });
  const release = () => {
    made[Symbol.dispose]();
    parameters[Symbol.dispose]();
  };
  return { run: made.run, parameters, [Symbol.dispose]: release };
}

describe('an evaluation', () => {
  it('plays whole episodes from seeds of its own, each counted to its end', async () => {
    const seeds: number[] = [];
    const { run, parameters, [Symbol.dispose]: release } = evaluator(choosing(seeds), { episodes: 40 });
    parameters.values['actor.0.weight'].data.set([-5, 5]); // the second action where the observation is 1
    const { mean, std, episodes, length, returns } = await run();
    const expected = Array.from({ length: 40 }, (_, i) => seedFor(3, 'evaluation', i));
    expect(seeds).toEqual(expected);
    expect(returns).toEqual(expected.map((seed) => 1 + (seed % 9)));
    expect({ mean, std }).toEqual(meanAndDeviation(returns));
    expect(episodes).toBe(40);
    expect(length).toBeCloseTo(mean, 12);
    release();
  });

  it('shows the policy what `prepare` makes of observations', async () => {
    const {
      run,
      parameters,
      [Symbol.dispose]: release,
    } = evaluator(choosing(), {
      episodes: 40,
      prepare: (rows) => rows.map((x) => -x),
    });
    parameters.values['actor.0.weight'].data.set([-5, 5]);
    expect((await run()).mean).toBe(0);
    release();
  });

  it('is greedy unless told', async () => {
    const sampled = evaluator(choosing(), { episodes: 100, greedy: false });
    sampled.parameters.values['actor.0.weight'].data.fill(0);
    const { returns, length } = await sampled.run();
    const share = returns.reduce((a, b) => a + b, 0) / (100 * length);
    expect(share).toBeGreaterThan(0.4);
    expect(share).toBeLessThan(0.6);
    sampled[Symbol.dispose]();
  });

  it.each(['CartPole-v1', 'Pendulum-v1'])('of %s is the same each time, and another from another seed', async (id) => {
    for (const greedy of [true, false]) {
      const [first, other] = [3, 4].map((seed) => evaluator(() => makeEnvironment(id), { episodes: 5, seed, greedy }));
      const result = await first.run();
      expect(result.returns).toHaveLength(5);
      expect(await first.run()).toEqual(result);
      expect((await other.run()).returns).not.toEqual(result.returns);
      for (const made of [first, other]) made[Symbol.dispose]();
    }
  });
});

it('knows the mean and the deviation', () => {
  expect(meanAndDeviation([1, 3, 5, 7])).toEqual({ mean: 4, std: Math.sqrt(5) });
});
