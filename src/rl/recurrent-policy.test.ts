import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it, test } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import { createVectorEnvironment, sourceOf, withTimeLimit } from '../env/index.ts';
import { random } from '../random.ts';
import { createControlPolicy } from './control-policy.ts';
import { recordEpisode } from './episodes.ts';
import { rowsOf } from './on-policy.ts';
import { createPpo } from './ppo.ts';
import { recurrentPpoSchema } from './ppo-options.ts';
import { rl } from './rl.ts';
import { createRlLearner, rlOptions } from './train.ts';

const keep = releasedAfterwards();

/**
 * A signal, 1 or −1, is seen at the first step only; the last action of three is right if it repeats the signal. What is
 * seen then says nothing, so without memory the mean return is 0.
 */
const recall = ({ mask = false } = {}) => {
  let [step, signal] = [0, 1];
  return withTimeLimit({
    id: 'Recall',
    observationSpace: { kind: 'box', low: [-1, 0], high: [1, 1] },
    actionSpace: { kind: 'discrete', n: 3 },
    maxEpisodeSteps: 9,
    framesPerSecond: 1,
    start(seed) {
      signal = random(seed, 'signal').integer(2) === 0 ? -1 : 1;
      step = 0;
    },
    advance({ 0: action }, outcome) {
      step++;
      outcome.terminated = step === 3;
      if (outcome.terminated) outcome.reward = action === 1 + signal ? 1 : -1;
    },
    observe(seen) {
      seen[0] = step === 0 ? signal : 0;
      seen[1] = step / 3;
    },
    ...(mask && { mask: () => [1, 0, 1] }),
  });
};
const settings = {
  env: recall,
  steps: 6144,
  evaluations: 0,
  episodes: 50,
  ppo: { environments: 8, horizon: 48, minibatch: 96, epochs: 6, memory: 16, hidden: [32], learningRate: 3e-3 },
};
const recurrent = { ...settings, policy: 'recurrent' } as const;

describe('a task that needs memory', () => {
  it.each([0, 1, 2])('is solved with seed %i', async (seed) => {
    const { policy, metrics } = await rl({ ...recurrent, seed });
    keep(policy);
    expect(metrics.return.mean).toBeCloseTo(1, 10);
    // in a program, which says when an episode begins; what went before plays no part
    const environment = recall();
    for (let episode = 0; episode < 8; episode++) {
      const played = recordEpisode(environment, policy, episode, { seconds: 1, framesPerSecond: 1 });
      expect(played.return).toBe(1);
    }
    const [first, second] = [
      [1, 0],
      [0, 1 / 3],
    ];
    policy.reset();
    expect(policy.actAll([first, [-1, 0]])).toHaveLength(2);
    policy.actAll([second, second]);
    expect(policy.actAll([0, 1].map(() => [0, 2 / 3]))).toEqual([2, 0]);
  });

  it('is not solved without memory', async () => {
    const { policy, metrics } = await rl({ ...settings, episodes: 200 });
    keep(policy);
    expect(Math.abs(metrics.return.mean)).toBeLessThan(0.3);
  });

  it('is solved with an action mask too, by the allowed actions', async () => {
    const { policy, metrics } = await rl({ ...recurrent, env: () => recall({ mask: true }) });
    keep(policy);
    expect(metrics.return.mean).toBeCloseTo(1, 10);
  });
});

const small = recurrentPpoSchema.parse({
  environments: 4,
  horizon: 8,
  minibatch: 32,
  epochs: 1,
  memory: 6,
  sequence: 4,
  hidden: [8],
  normalizeObservations: true,
});
const agentIn = (seed = 0) => {
  const environment = createVectorEnvironment(sourceOf(recall).batch(small.environments), seed);
  environment.reset();
  return { environment, agent: keep(createPpo(environment, small, seed, small)) };
};

test('sequences that begin anew within them have the log-probabilities that acted', async () => {
  const { agent, environment } = agentIn();
  for (let update = 0; update < 3; update++) {
    const rollout = await agent.collect();
    // episodes of three steps begin within sequences of four, and reach over their ends
    expect([...rollout.episodeSteps].slice(4 * 3, 4 * 4)).toEqual([0, 0, 0, 0].map(() => (update * 8 + 3) % 3));
    const metrics = await agent.update(rollout, 0);
    // the update is one minibatch: before it, the policy is the one that acted
    expect(Math.abs(metrics['policy/approx_kl'])).toBeLessThan(1e-6);
    expect(metrics['policy/clip_fraction']).toBe(0);
  }
  expect(environment.episodes[0].index).toBeGreaterThan(5);
});

test('what is remembered is 0 at the first step of an episode, in each environment by itself', async () => {
  const { agent } = agentIn();
  await agent.collect();
  const { memory, episodeSteps } = await agent.collect();
  episodeSteps.forEach((step, i) => {
    const [before, after] = [memory.before, memory.after].map((all) => all.subarray(6 * i, 6 * (i + 1)));
    expect(before.every((x) => x === 0)).toBe(step === 0);
    expect(after.some((x) => x !== 0)).toBe(true);
    if (i >= 4 && step > 0) expect(before).toEqual(memory.after.subarray(6 * (i - 4), 6 * (i - 3)));
  });
});

test('rows of sequences have time outermost', () => {
  // eight steps of two environments, sequences of four: number 3 is the second half of environment 1
  expect([...rowsOf(Int32Array.of(3, 0), 2, 4)]).toEqual([9, 0, 11, 2, 13, 4, 15, 6]);
});

test('a resumed run remembers the middle of its episodes', async () => {
  const options = rlOptions({ ...recurrent, env: 'Recall', ppo: { ...recurrent.ppo, horizon: 16, minibatch: 128 } });
  const make = () => keep(createRlLearner(options, { environment: keep(sourceOf(recall)) }));
  const [one, other] = [make(), make()];
  await one.next();
  other.restore(structuredClone(one.save()));
  for (let i = 0; i < 2; i++) expect((await other.next()).metrics).toEqual((await one.next()).metrics);
});

test('ONNX Runtime gets and gives the memory', async () => {
  const { agent } = agentIn(2);
  await agent.collect();
  const spaces = recall();
  const { observationSpace, actionSpace } = spaces;
  const { tensors, state } = agent.save();
  const { mean, variance } = state.observationStatistics!;
  const { activation, hidden, memory } = small;
  const policy = keep(
    createControlPolicy({
      algorithm: 'ppo',
      activation,
      hidden,
      memory,
      observationSpace,
      actionSpace,
      statistics: { mean, variance },
      tensors,
    }),
  );
  const session = await InferenceSession.create(policy.onnx());
  let remembered = new Tensor('float32', new Float32Array(6), [1, 6]);
  const draw = random(0, 'onnx');
  for (let t = 0; t < 20; t++) {
    if (t % 5 === 0) {
      policy.reset();
      remembered = new Tensor('float32', new Float32Array(6), [1, 6]);
    }
    const seen = Float32Array.of(draw.normal(), draw.normal());
    const outputs = await session.run({ observation: new Tensor('float32', seen, [1, 2]), memory: remembered });
    expect(Number(outputs.action.data[0])).toBe(policy.act(seen));
    remembered = outputs.next_memory as typeof remembered;
  }
  await session.release();
});

test('what does not go together is refused', () => {
  expect(() => rlOptions({ policy: 'recurrent', algorithm: 'trpo' })).toThrow('trpo has no recurrent policy');
  const environment = createVectorEnvironment(sourceOf(recall).batch(4), 0);
  environment.reset();
  expect(() => createPpo(environment, small, 0, { memory: 6, sequence: 6 })).toThrow(
    expect.objectContaining({
      message: 'sequences of 6 steps do not divide a horizon of 8',
      hint: 'use for example --ppo.sequence 4',
    }),
  );
});
