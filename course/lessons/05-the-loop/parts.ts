/**
 * The parts of the loop, ready to be used: eight CartPoles, a policy with PPO, a teacher, and an ensemble of three
 * reward networks. The loop between them is yours. Each part is what you wrote in another lesson, on heed's engine.
 */
import {
  clip,
  exp,
  gatherElements,
  logSigmoid,
  logSoftmax,
  mean,
  minimum,
  mul,
  neg,
  random,
  reshape,
  softmax,
  split,
  square,
  sub,
  sum,
  trace,
  Value,
} from 'heed/engine';
import { cartPole } from 'heed/env';
import { createOptimizer, createParameters, createTrainStep, mlp } from 'heed/nn';

/** Up to 25 consecutive steps of an episode. The true rewards are not in it: only the teacher knows them. */
export interface Segment {
  /** What the agent saw in each step: position, velocity, angle, angular velocity. */
  readonly observations: readonly Float32Array[];
}

/** How much each segment of a pair is preferred: [1, 0], [0, 1], or [0.5, 0.5] for a tie. */
export type Preference = readonly [first: number, second: number];

/** A pair with its preference. */
export interface Comparison {
  readonly segments: readonly [first: Segment, second: Segment];
  readonly preference: Preference;
}

/** 256 steps: 32 of each of the eight environments. */
export interface Rollout {
  /** [256]: what the agent saw before each step. */
  readonly observations: readonly Float32Array[];
}

/** The parts, as the loop sees them. */
export interface Parts {
  /** Acts for 256 steps with the present policy. The steps are remembered: segments come from them. */
  rollOut(): Rollout;
  /** A random segment of what was remembered. */
  drawSegment(): Segment;
  /** How far the members of the ensemble disagree about a pair: the variance of their probabilities. 0 is agreement. */
  disagreement(first: Segment, second: Segment): number;
  /** Asks the teacher, who prefers the segment with the larger true return. Each question costs a label. */
  judge(first: Segment, second: Segment): Preference;
  /** Trains the ensemble on comparisons (200 steps on random minibatches of them). */
  fitEnsemble(comparisons: readonly Comparison[]): void;
  /** [256]: the ensemble's reward of each step, of the size of 1. */
  predictRewards(rollout: Rollout): Float32Array;
  /** Updates the policy with PPO on these rewards: ten passes. `progress`, 0 to 1, lowers the learning rate. */
  updatePolicy(rollout: Rollout, rewards: ArrayLike<number>, progress: number): void;
}

const copies = 8;
const horizon = 32;
const batch = copies * horizon;
const window = 25;
const members = 3;
const minibatch = 64;
const pairs = 16;
const size = 4; // numbers of an observation

interface Step {
  observation: Float32Array;
  reward: number;
  ended: boolean;
}

interface FullRollout extends Rollout {
  actions: Int32Array;
  logProbs: Float32Array;
  values: Float32Array;
  ends: Uint8Array;
}

/** The parts, from a seed; and `evaluate`, the mean true return of eight episodes, which the loop does not get. */
export function createParts(seed: number): { parts: Parts; evaluate(): number } {
  // ————— The policy and its critic —————
  const actor = mlp('policy', { sizes: [size, 64, 64, 2] });
  const critic = mlp('critic', { sizes: [size, 64, 64, 1] });
  const parameters = createParameters([...actor.parameters, ...critic.parameters], random(seed, 'policy'));
  const seen = new Value('float32', [copies, size]);
  const [chances, value] = [new Value('float32', [copies, 2]), new Value('float32', [copies, 1])];
  const look = trace(
    { seen: ['n', size] },
    ({ seen: x }) => ({ chances: softmax(actor.apply(x)), value: critic.apply(x) }),
    { singleThread: true, dims: { n: copies } },
  ).bind({ ...parameters.values, seen }, { chances, value });
  const ppo = createTrainStep(
    parameters,
    {
      observations: ['n', size],
      taken: { dtype: 'int32', shape: ['n', 1] },
      oldLogProbs: ['n', 1],
      advantages: ['n', 1],
      returns: ['n', 1],
    },
    ({ observations, taken, oldLogProbs, advantages, returns }) => {
      const logProbs = logSoftmax(actor.apply(observations));
      const ratio = exp(sub(gatherElements(logProbs, taken, 1), oldLogProbs));
      const surrogate = minimum(mul(ratio, advantages), mul(clip(ratio, 0.8, 1.2), advantages)); // lesson 8
      const valueError = mean(square(sub(critic.apply(observations), returns)));
      const entropy = neg(mean(sum(mul(exp(logProbs), logProbs), { axes: [1] })));
      return { loss: sub(sub(mul(valueError, 0.25), mean(surrogate)), mul(entropy, 0.01)) };
    },
    { dims: { n: minibatch } },
  );
  const ppoOptimizer = createOptimizer(parameters, ppo.gradients, { kind: 'adam' });

  // ————— The reward ensemble —————
  const networks = Array.from({ length: members }, (_, k) => mlp(`reward.${k}`, { sizes: [size, 32, 32, 1] }));
  const rewardParameters = createParameters(
    networks.flatMap((network) => network.parameters),
    random(seed, 'reward'),
  );
  const rows = new Value('float32', [batch, size]);
  const predictions = networks.map(() => new Value('float32', [batch, 1]));
  const predict = trace(
    { steps: ['n', size] },
    ({ steps }) => Object.fromEntries(networks.map((network, k) => [`r${k}`, network.apply(steps)])),
    { singleThread: true, dims: { n: batch } },
  ).bind(
    { ...rewardParameters.values, steps: rows },
    Object.fromEntries(predictions.map((prediction, k) => [`r${k}`, prediction])),
  );
  const fit = createTrainStep(
    rewardParameters,
    { segments: ['n', size], real: [2 * pairs, window], preferred: [pairs, 1] },
    ({ segments, real, preferred }) => {
      const losses = networks.map((network) => {
        const rewards = mul(reshape(network.apply(segments), [2 * pairs, window]), real);
        const [first, second] = split(sum(rewards, { axes: [1], keepDims: true }), [pairs, pairs], 0);
        const x = sub(first, second);
        // −p log σ(x) − (1 − p) log σ(−x), lesson 2
        return neg(mean(sub(logSigmoid(neg(x)), mul(preferred, sub(logSigmoid(neg(x)), logSigmoid(x))))));
      });
      return { loss: losses.reduce((a, b) => sub(a, neg(b))) };
    },
    { dims: { n: 2 * pairs * window } },
  );
  const rewardOptimizer = createOptimizer(rewardParameters, fit.gradients, { kind: 'adam' });

  // ————— What was experienced, and the true rewards —————
  const environments = Array.from({ length: copies }, () => cartPole());
  const memory: Step[][] = environments.map(() => []);
  const trueReturns = new WeakMap<Segment, number>();
  const queries = random(seed, 'queries');
  const acts = random(seed, 'actions');
  const current = environments.map((environment) => {
    const observation = new Float32Array(size);
    environment.reset(acts.uint32(), observation);
    return observation;
  });

  const returnsOf = (segment: Segment): number[] => {
    for (const [t, observation] of segment.observations.entries()) rows.data.set(observation, t * size);
    predict.run();
    const steps = segment.observations.length;
    return predictions.map(({ data }) => data.subarray(0, steps).reduce((total, r) => total + r, 0));
  };

  const parts: Parts = {
    rollOut() {
      const rollout: FullRollout & { observations: Float32Array[] } = {
        observations: [],
        actions: new Int32Array(batch),
        logProbs: new Float32Array(batch),
        values: new Float32Array(batch + copies),
        ends: new Uint8Array(batch),
      };
      for (let t = 0; t <= horizon; t++) {
        for (const [i, observation] of current.entries()) seen.data.set(observation, i * size);
        look.run();
        rollout.values.set(value.data, t * copies);
        if (t === horizon) break;
        for (const [i, environment] of environments.entries()) {
          const at = t * copies + i;
          const action = Number(acts.uniform() >= chances.data[2 * i]);
          rollout.actions[at] = action;
          rollout.logProbs[at] = Math.log(chances.data[2 * i + action]);
          rollout.observations.push(current[i].slice());
          const { reward, terminated, truncated } = environment.step([action], current[i]);
          const ended = terminated || truncated;
          rollout.ends[at] = Number(ended);
          memory[i].push({ observation: current[i].slice(), reward, ended });
          if (ended) environment.reset(acts.uint32(), current[i]);
        }
      }
      return rollout;
    },

    drawSegment() {
      const all = memory[queries.integer(copies)].slice(-1000);
      if (all.length === 0) throw new Error('there are no segments before the first rollout');
      const start = queries.integer(Math.max(1, all.length - window));
      const slice = all.slice(start, start + window);
      const end = slice.findIndex(({ ended }) => ended);
      const steps = end < 0 ? slice : slice.slice(0, end + 1);
      const segment = { observations: steps.map(({ observation }) => observation) };
      trueReturns.set(
        segment,
        steps.reduce((total, { reward }) => total + reward, 0),
      );
      return segment;
    },

    disagreement(first, second) {
      const [a, b] = [returnsOf(first), returnsOf(second)];
      const p = a.map((x, k) => 1 / (1 + Math.exp(b[k] - x)));
      const middle = p.reduce((x, y) => x + y) / members;
      return p.reduce((total, x) => total + (x - middle) ** 2, 0) / members;
    },

    judge(first, second) {
      const [a, b] = [first, second].map((segment) => trueReturns.get(segment));
      if (a === undefined || b === undefined) throw new Error('judge takes segments from drawSegment');
      return a === b ? [0.5, 0.5] : a > b ? [1, 0] : [0, 1];
    },

    fitEnsemble(comparisons) {
      if (comparisons.length === 0) throw new Error('there are no comparisons to fit');
      const { segments, real, preferred } = fit.inputs;
      for (let step = 0; step < 200; step++) {
        segments.data.fill(0);
        real.data.fill(0);
        for (let i = 0; i < pairs; i++) {
          const comparison = comparisons[queries.integer(comparisons.length)];
          preferred.data[i] = comparison.preference[0];
          for (const [side, segment] of comparison.segments.entries()) {
            const row = side * pairs + i;
            for (const [t, observation] of segment.observations.entries()) {
              segments.data.set(observation, (row * window + t) * size);
              real.data[row * window + t] = 1;
            }
          }
        }
        fit.run();
        rewardOptimizer.step(3e-3);
      }
    },

    predictRewards({ observations }) {
      // the reward of a step is that of the state it leads to: the next row of the same environment
      for (const at of observations.keys()) {
        const { observation } = memory[at % copies].at(-horizon + Math.floor(at / copies))!;
        rows.data.set(observation, at * size);
      }
      predict.run();
      const rewards = observations.map((_, at) => predictions.reduce((total, { data }) => total + data[at], 0));
      const scale = Math.sqrt(rewards.reduce((total, r) => total + r * r, 0) / batch) + 1e-8;
      return Float32Array.from(rewards, (r) => r / scale);
    },

    updatePolicy(rollout, rewards, progress) {
      const { observations, actions, logProbs, values, ends } = rollout as FullRollout;
      if (rewards.length !== batch) throw new Error(`there must be ${batch} rewards, not ${rewards.length}`);
      const advantages = new Float32Array(batch); // lesson 7
      for (let i = 0; i < copies; i++) {
        for (let t = horizon - 1, running = 0; t >= 0; t--) {
          const at = t * copies + i;
          const goesOn = 1 - ends[at];
          const error = rewards[at] + 0.98 * goesOn * values[at + copies] - values[at];
          running = error + 0.98 * 0.8 * goesOn * running;
          advantages[at] = running;
        }
      }
      const order = Array.from({ length: batch }, (_, at) => at);
      for (let epoch = 0; epoch < 10; epoch++) {
        acts.shuffle(order);
        for (let from = 0; from < batch; from += minibatch) {
          for (const [row, at] of order.slice(from, from + minibatch).entries()) {
            ppo.inputs.observations.data.set(observations[at], row * size);
            ppo.inputs.taken.data[row] = actions[at];
            ppo.inputs.oldLogProbs.data[row] = logProbs[at];
            ppo.inputs.advantages.data[row] = advantages[at];
            ppo.inputs.returns.data[row] = advantages[at] + values[at];
          }
          ppo.run();
          ppoOptimizer.step(1e-3 * (1 - Math.max(0, Math.min(1, progress))));
        }
      }
    },
  };

  const evaluate = (): number => {
    const running = environments.map(() => cartPole());
    const observations = running.map((environment, i) => {
      const observation = new Float32Array(size);
      environment.reset(1000 + i, observation);
      return observation;
    });
    const draws = random(seed, 'evaluation');
    const [returns, done] = [running.map(() => 0), running.map(() => false)];
    while (done.includes(false)) {
      for (const [i, observation] of observations.entries()) seen.data.set(observation, i * size);
      look.run();
      for (const [i, environment] of running.entries()) {
        if (done[i]) continue;
        const action = Number(draws.uniform() >= chances.data[2 * i]);
        const { reward, terminated, truncated } = environment.step([action], observations[i]);
        returns[i] += reward;
        done[i] = terminated || truncated;
      }
    }
    return returns.reduce((total, x) => total + x, 0) / copies;
  };
  return { parts, evaluate };
}
