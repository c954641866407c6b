import { describe, expect, it } from 'vitest';
import { checkGradient, evaluate, expectClose, numbers, of } from '../../test/support/gradients.ts';
import { releasedAfterwards } from '../../test/support/released.ts';
import { gradients, input, reshape, trace, Value } from '../engine/index.ts';
import { createVectorEnvironment, makeEnvironment, type Space, sourceOf } from '../env/index.ts';
import { createParameters, partOf } from '../nn/index.ts';
import { random } from '../random.ts';
import { createForward } from './forward.ts';
import { createPolicyNetwork, LOG_DEVIATION, sampleActions } from './policy.ts';
import { conjugateGradient, createFisher, createTrpo } from './trpo.ts';
import { trpoSchema } from './trpo-options.ts';

const keep = releasedAfterwards();

const discrete: Space = { kind: 'discrete', n: 3 };
const box: Space = { kind: 'box', low: Float32Array.of(-1, -1), high: Float32Array.of(1, 1) };

it('solves a symmetric system by as many steps as it has rows', async () => {
  const matrix = [
    [4, 1, 0],
    [1, 3, -1],
    [0, -1, 2],
  ];
  const apply = (v: ArrayLike<number>) => matrix.map((row) => row.reduce((sum, x, j) => sum + x * v[j], 0));
  const x = await conjugateGradient(apply, [1, 2, 3], 3);
  expectClose(apply(x), [1, 2, 3], 1e-9);
  expect([...(await conjugateGradient(apply, [0, 0, 0], 3))]).toEqual([0, 0, 0]);
});

describe.each([
  ['a choice', discrete],
  ['a box', box],
] as const)('with %s', (_, space) => {
  const ROWS = 5;
  function setup() {
    const policy = createPolicyNetwork(2, space, { hidden: [4], activation: 'tanh', gain: 1 });
    const parameters = keep(createParameters(policy.parameters, random(0)));
    const rng = random(1);
    for (const { name } of policy.parameters) {
      const { data } = parameters.values[name];
      for (let i = 0; i < data.length; i++) data[i] = 0.5 * rng.normal(); // no zeros: every term shows
    }
    const actor = partOf(parameters, 0, policy.parameters.length - policy.critic.parameters.length);
    const observations = keep(Value.of('float32', [ROWS, 2], numbers([ROWS, 2]).data));
    return { policy, parameters, actor, observations };
  }

  it('the product with the Fisher matrix is that with E[∇log π ∇log πᵀ], made in full, and damped', async () => {
    const { policy, parameters, actor, observations } = setup();
    const forward = keep(createForward(policy, parameters, ROWS));
    forward.observations.set(observations.data as Float32Array);
    forward.run();
    // ∇ log π of one action in one state
    const program = keep(
      trace((g) => {
        const distribution = policy.distribution(input(g, 'observation', [1, 2]));
        const logProb = policy.logProbability(distribution, input(g, 'action', [1, policy.outputSize]));
        const inputs = actor.specs.map(({ name, shape }) => input(g, name, shape));
        const slopes = gradients(reshape(logProb, []), inputs);
        return Object.fromEntries(actor.specs.map(({ name }, i) => [`slope of ${name}`, slopes[i]]));
      }),
    );
    const slope = (row: number, action: number[]) => {
      const observation = (observations.data as Float32Array).slice(2 * row, 2 * row + 2);
      const results = program.run({ ...actor.values, observation, action });
      const flat = new Float64Array(actor.flat.length);
      actor.specs.forEach(({ name }, i) => {
        flat.set(results[`slope of ${name}`] as Float32Array, actor.ranges[i].start);
      });
      return flat;
    };
    const vector = Float64Array.from({ length: actor.flat.length }, () => 0);
    const rng = random(2);
    for (const { start, end } of actor.ranges) for (let i = start; i < end; i++) vector[i] = rng.normal();

    /**
     * Actions of a state with the weight of each in the expectation: all of them, or the Gauss–Hermite points of a
     * Gaussian.
     */
    function weighted(row: number): { action: number[]; weight: number }[] {
      const at = (j: number) => forward.distribution[row * policy.outputSize + j];
      if (space.kind === 'discrete') {
        return [0, 1, 2].map((a) => ({ action: [0, 1, 2].map((j) => Number(j === a)), weight: Math.exp(at(a)) }));
      }
      // exact for polynomials of degree 5 and less, and ∇log π is of degree 2 in the noise
      const points = [
        { z: 0, weight: 2 / 3 },
        { z: Math.sqrt(3), weight: 1 / 6 },
        { z: -Math.sqrt(3), weight: 1 / 6 },
      ];
      const deviation = [...parameters.values[LOG_DEVIATION].data].map(Math.exp);
      return points.flatMap((p) =>
        points.map((q) => ({
          action: [at(0) + deviation[0] * p.z, at(1) + deviation[1] * q.z],
          weight: p.weight * q.weight,
        })),
      );
    }
    const expected = new Float64Array(vector.length);
    for (let row = 0; row < ROWS; row++) {
      for (const { action, weight } of weighted(row)) {
        const s = slope(row, action);
        const along = s.reduce((sum, x, i) => sum + x * vector[i], 0);
        for (let i = 0; i < s.length; i++) expected[i] += (weight * along * s[i]) / ROWS;
      }
    }
    const damping = 0.3;
    const fisher = keep(createFisher(policy, actor, observations, damping));
    expectClose(
      [...(await fisher.apply(vector))],
      [...expected].map((x, i) => x + damping * vector[i]),
      1e-4,
    );
  });

  it('the divergence is 0 from itself, and otherwise what draws say it is; its gradient is right', () => {
    const { policy } = setup();
    const width = policy.outputSize;
    const [before, after] = [1, 2].map((seed) => numbers([1, width], { seed }));
    const normalized = ({ data }: typeof before) =>
      data.map((x) => x - Math.log(data.reduce((sum, y) => sum + Math.exp(y), 0)));
    if (space.kind === 'discrete') for (const each of [before, after]) each.data = normalized(each);
    const deviations: Record<string, ReturnType<typeof of>> = space.kind === 'box'
      ? { held: of([1, 2], [-0.4, 0.3]), [LOG_DEVIATION]: of([1, 2], [0.1, 0.2]) }
      : {};
    const divergence = (t: Parameters<Parameters<typeof evaluate>[0]>[0]) =>
      policy.divergence({ distribution: t.before, logDeviation: t.held }, t.after);
    const inputs = { before, after, ...deviations };
    const same = { ...inputs, after: before, ...(deviations.held && { [LOG_DEVIATION]: deviations.held }) };
    expectClose(evaluate(divergence, same), [0], 1e-6);

    const rows = 20_000;
    const actions = new Float32Array(rows * policy.actionSize);
    const logProbs = new Float32Array(rows);
    const repeated = Float32Array.from({ length: rows * width }, (_, i) => before.data[i % width]);
    const held = deviations.held && Float32Array.from(deviations.held.data);
    sampleActions(policy, repeated, held, random(0), actions, logProbs);
    const probability = (i: number) =>
      space.kind === 'discrete'
        ? after.data[actions[i]]
        : [0, 1].reduce((sum, j) => {
            const log = deviations[LOG_DEVIATION].data[j];
            const z = (actions[2 * i + j] - after.data[j]) / Math.exp(log);
            return sum - 0.5 * (z * z + Math.log(2 * Math.PI)) - log;
          }, 0);
    const drawn = logProbs.reduce((sum, p, i) => sum + p - probability(i), 0) / rows;
    expect(Math.abs(evaluate(divergence, inputs)[0] - drawn)).toBeLessThan(0.02);
    checkGradient(divergence, inputs, { symbols: false, wrt: ['after', ...(held ? [LOG_DEVIATION] : [])] });
  });
});

describe.each(['CartPole-v1', 'Pendulum-v1'])('an update on %s', (id) => {
  const settings = { environments: 4, horizon: 64, minibatch: 64, hidden: [16] };
  const start = (options: object) => {
    const environment = createVectorEnvironment(sourceOf(() => makeEnvironment(id)).batch(4), 0);
    environment.reset();
    return keep(createTrpo(environment, trpoSchema.parse({ ...settings, ...options }), 0));
  };

  it.each([0.001, 0.01, 0.05])(
    'moves the policy by less than the KL that is allowed, %d, and for the better',
    async (targetKl) => {
      const agent = start({ targetKl, damping: 0.01 });
      const metrics = await agent.update(await agent.collect(), 0);
      expect(metrics['policy/approx_kl']).toBeLessThan(targetKl);
      expect(metrics['policy/approx_kl']).toBeGreaterThan(targetKl / 4); // and makes use of it
      expect(metrics['policy/step']).toBeGreaterThan(0);
      expect(metrics['loss/policy']).toBeLessThan(0); // normalized advantages: 0 before
    },
  );

  it('leaves the policy as it was where no step is good, and teaches the critic all the same', async () => {
    // within so little KL, rounding hides what is gained
    const agent = start({ targetKl: 1e-18 });
    const before = structuredClone(agent.save().tensors);
    expect(await agent.update(await agent.collect(), 0)).toMatchObject({ 'policy/step': 0, 'policy/approx_kl': 0 });
    const { tensors } = agent.save();
    expect(tensors['actor.0.weight']).toEqual(before['actor.0.weight']);
    expect(tensors['critic.0.weight']).not.toEqual(before['critic.0.weight']);
  });
});
