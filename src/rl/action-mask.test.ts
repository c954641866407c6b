import { expect, test } from 'vitest';
import { checkGradient, evaluate, expectClose, of } from '../../test/support/gradients.ts';
import { releasedAfterwards } from '../../test/support/released.ts';
import { learnFromPreferences } from '../control/learn.ts';
import { add, mul } from '../engine/ops/elementwise.ts';
import { isAllowed } from '../env/action-mask.ts';
import { sourceOf, withTimeLimit } from '../env/index.ts';
import { random } from '../random.ts';
import { createPolicyNetwork, sampleActions } from './policy.ts';
import { rl } from './rl.ts';
import { createRlLearner, rlOptions } from './train.ts';

const keep = releasedAfterwards();

/**
 * The values are PyTorch 2.15's: Categorical(logits=where(mask, logits, −1e8)), with the entropy over what is allowed,
 * as MaskableCategorical of sb3-contrib has it.
 */
test('log-probabilities, entropy and their gradients are those of MaskablePPO', () => {
  const policy = createPolicyNetwork(
    8,
    { kind: 'discrete', n: 4 },
    { hidden: [], activation: 'tanh', gain: 1 },
    { mask: 4 },
  );
  const inputs = {
    observations: of(
      [3, 8],
      [0.5, -1, 2, 0.25, 1, 1, 0, 1, 1.5, 0.75, -0.5, 3, 1, 0, 1, 0, 0.1, 0.2, 0.3, 0.4, 0, 0, 1, 0],
    ),
    // the logits are the observations
    'actor.0.weight': of(
      [4, 4],
      Array.from({ length: 16 }, (_, i) => Number(i % 5 === 0)),
    ),
    'actor.0.bias': of([4], [0, 0, 0, 0]),
    chosen: of([3, 4], [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0]),
    advantage: of([3, 1], [1, -2, 0.5]),
  };
  const logProbs = evaluate((t) => policy.distribution(t.observations), inputs);
  expectClose(
    Array.from(logProbs, Math.exp),
    [0.4995177388, 0.1114574596, 0, 0.3890247941, 0.8807970285, 0, 0.1192029119, 0, 0, 0, 1, 0],
    1e-6,
  );
  expect(Array.from(logProbs, Math.exp).filter((p) => p === 0)).toHaveLength(6);
  type Tensors = Parameters<Parameters<typeof evaluate>[0]>[0];
  const logProbability = (t: Tensors) => policy.logProbability(policy.distribution(t.observations), t.chosen);
  const entropy = (t: Tensors) => policy.entropy(policy.distribution(t.observations));
  expectClose(evaluate(logProbability, inputs), [-2.1941123009, -2.126928091, 0], 1e-6);
  expectClose(evaluate(entropy, inputs), [0.9585545659, 0.3653339148, 0], 1e-6);
  const objective = (t: Tensors) => add(mul(logProbability(t), t.advantage), mul(entropy(t), 0.1));
  checkGradient(objective, inputs, { symbols: false, wrt: ['actor.0.weight', 'actor.0.bias'] });
  const divergence = (t: Tensors) => {
    const distribution = policy.distribution(t.observations);
    return policy.divergence({ distribution: mul(distribution, 1) }, distribution);
  };
  expectClose(evaluate(divergence, inputs), [0, 0, 0], 1e-6);
});

test('what rounding leaves of a draw goes to an action that is allowed', () => {
  const policy = createPolicyNetwork(6, { kind: 'discrete', n: 3 }, { hidden: [], activation: 'tanh', gain: 1 });
  // their sum is less than the draw, as it is of many actions with rounded probabilities
  const distribution = Float32Array.of(Math.log(0.3), Math.log(0.3), -1e8);
  const actions = new Float32Array(1);
  sampleActions(policy, distribution, undefined, { ...random(0), uniform: () => 0.9999999 }, actions);
  expect(actions[0]).toBe(1);
});

/**
 * Each step allows two of four actions, which two depends on seed and step; another throws. One of the two is right, and
 * the observation says which. Two copies differ from their reset on.
 */
const gates = () => {
  let [step, shown, draw] = [0, 0, random(0)];
  const open = () => [shown, (shown + 1 + (step % 2)) % 4];
  return withTimeLimit({
    id: 'Gates',
    observationSpace: { kind: 'box', low: new Float32Array(4), high: new Float32Array(4).fill(1) },
    actionSpace: { kind: 'discrete', n: 4 },
    maxEpisodeSteps: 8,
    framesPerSecond: 4,
    start(seed) {
      draw = random(seed, 'gates');
      step = 0;
      shown = draw.integer(4);
    },
    advance({ 0: action }, outcome) {
      if (!open().includes(action)) throw new Error(`action ${action} is closed`);
      outcome.reward = Number(action === shown);
      step++;
      shown = draw.integer(4);
    },
    observe(seen) {
      for (let i = 0; i < 4; i++) seen[i] = Number(i === shown);
    },
    mask: () => Array.from({ length: 4 }, (_, i) => open().includes(i)),
  });
};
const few = { env: gates, steps: 2048, evaluations: 2, episodes: 10 };

test.each([
  ['ppo', { ppo: { environments: 4, horizon: 64, minibatch: 64, epochs: 4, normalizeObservations: true } }],
  ['a2c', { a2c: { environments: 4, normalizeObservations: true } }],
  ['trpo', { trpo: { environments: 4, horizon: 64, minibatch: 64, normalizeObservations: true } }],
] as const)('%s takes no action that is not allowed, and learns', async (algorithm, settings) => {
  const { policy, metrics } = await rl({ ...few, algorithm, ...settings });
  keep(policy);
  expect(metrics.return.mean).toBeGreaterThan(5); // chance has 4
  const observation = Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0);
  expect(policy.act(observation)).toBe(1);
  for (let i = 0; i < 20; i++) expect(policy.act(observation, { greedy: false })).toBe(1);
  expect(() => policy.act([1, 0, 0, 0])).toThrow('an observation has 8 numbers here, got 4');
  expect(() => policy.act([1, 0, 0, 0, 0, 0, 0, 0])).toThrow('the action mask allows no action');
});

test('a resumed run goes on with the masks of its episodes', async () => {
  const settings = { ...few, env: 'Gates', ppo: { environments: 4, horizon: 16, minibatch: 64, epochs: 1 } };
  const make = () => keep(createRlLearner(rlOptions(settings), { environment: keep(sourceOf(gates)) }));
  const [one, other] = [make(), make()];
  await one.next();
  other.restore(structuredClone(one.save()));
  const [after, resumed] = [await one.next(), await other.next()];
  expect(resumed.metrics).toEqual(after.metrics);
});

test('preferences teach within the mask, from random play and branches on', async () => {
  const { policy, reward } = await learnFromPreferences({
    env: gates,
    steps: 1024,
    labels: 4,
    randomSteps: 256,
    episodes: 10,
    evaluations: 1,
    segment: { window: 4, branched: 0.5 },
    ppo: { environments: 4, horizon: 64, minibatch: 64, epochs: 4 },
  });
  keep(policy);
  keep(reward);
  const { observationSpace } = policy;
  const observation = Float32Array.of(0, 0, 1, 0, 1, 0, 1, 0);
  expect(isAllowed(observationSpace, observation, policy.act(observation) as number)).toBe(true);
});
