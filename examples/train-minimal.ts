/**
 * Learning from human preferences in one file (Christiano et al. 2017), without heed's training loop: an agent learns from
 * comparisons of short clips, and never sees the environment's reward.
 *
 *   roll out → cut segments → ask about the pairs on which the ensemble disagrees → fit the ensemble → PPO, and again
 *
 * What it leaves out, and heed has: checkpoints, several reward presets, people as teachers, continuous actions.
 *
 * node train-minimal.ts [--env CartPole-v1] [--steps 30000] [--labels 40] [--seed 0]
 */
import { parseArgs } from 'node:util';
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
  type Random,
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
import { type Environment, makeEnvironment } from 'heed/env';
import { createOptimizer, createParameters, createTrainStep, mlp } from 'heed/nn';

const { values } = parseArgs({
  options: {
    env: { type: 'string', default: 'CartPole-v1' },
    steps: { type: 'string', default: '30000' },
    labels: { type: 'string', default: '40' },
    seed: { type: 'string', default: '0' },
  },
});
const [steps, labels, seed] = [values.steps, values.labels, values.seed].map(Number);

const copies = 8; // environments side by side
const horizon = 32; // steps of each between two updates
const batch = copies * horizon;
const window = 25; // time steps of a segment
const members = 3; // reward networks
const minibatch = 64; // steps of one gradient of PPO
const pairs = 16; // comparisons of one gradient of the reward
const rounds = 4; // of queries, over the first half of the training

const environments = Array.from({ length: copies }, () => makeEnvironment(values.env));
const { observationSpace, actionSpace } = environments[0];
if (actionSpace.kind !== 'discrete') throw new Error(`${values.env} has continuous actions: try heed train`);
const size = observationSpace.low.length; // numbers of an observation
const actions = actionSpace.n;

// ————— The policy and its critic —————

const actor = mlp('policy', { sizes: [size, 64, 64, actions] });
const critic = mlp('critic', { sizes: [size, 64, 64, 1] });
const parameters = createParameters([...actor.parameters, ...critic.parameters], random(seed, 'policy'));

const seen = new Value('float32', [copies, size]);
const [probabilities, value] = [new Value('float32', [copies, actions]), new Value('float32', [copies, 1])];
const look = trace(
  { seen: ['n', size] },
  ({ seen: x }) => ({ probabilities: softmax(actor.apply(x)), value: critic.apply(x) }),
  { singleThread: true, dims: { n: copies } },
).bind({ ...parameters.values, seen }, { probabilities, value });

// PPO's clipped loss (Schulman et al. 2017, equation 7), and half the squared error of the critic.
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
    const surrogate = minimum(mul(ratio, advantages), mul(clip(ratio, 0.8, 1.2), advantages));
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
  ({ steps: x }) => Object.fromEntries(networks.map((network, k) => [`r${k}`, network.apply(x)])),
  { singleThread: true, dims: { n: batch } },
).bind(
  { ...rewardParameters.values, steps: rows },
  Object.fromEntries(predictions.map((prediction, k) => [`r${k}`, prediction])),
);

// Cross-entropy of the Bradley–Terry model: P(first is preferred) = σ(Σ r over the first − Σ r over the second).
const fit = createTrainStep(
  rewardParameters,
  { segments: ['n', size], real: [2 * pairs, window], preferred: [pairs, 1] },
  ({ segments, real, preferred }) => {
    const losses = networks.map((network) => {
      const rewards = mul(reshape(network.apply(segments), [2 * pairs, window]), real);
      const [first, second] = split(sum(rewards, { axes: [1], keepDims: true }), [pairs, pairs], 0);
      const x = sub(first, second);
      return neg(mean(sub(logSigmoid(neg(x)), mul(preferred, sub(logSigmoid(neg(x)), logSigmoid(x))))));
    });
    return { loss: losses.reduce((a, b) => sub(a, neg(b))) };
  },
  { dims: { n: 2 * pairs * window } },
);
const rewardOptimizer = createOptimizer(rewardParameters, fit.gradients, { kind: 'adam' });

// ————— Experience, segments, and the teacher —————

interface Step {
  observation: Float32Array; // [size]
  reward: number; // the true one, for the teacher and for you
  ended: boolean;
}
type Segment = Step[]; // fewer than the window if the episode ended
interface Comparison {
  segments: [Segment, Segment];
  preferred: number; // 1: the first, 0: the second, 0.5: both alike
}

const memory: Step[][] = environments.map(() => []); // by environment, in time
const comparisons: Comparison[] = [];
const draws = random(seed, 'queries');

/** A window of time: it ends early where its episode does, as a clip would. */
function drawSegment(): Segment {
  const all = memory[draws.integer(copies)].slice(-1000);
  const start = draws.integer(Math.max(1, all.length - window));
  const slice = all.slice(start, start + window);
  const end = slice.findIndex(({ ended }) => ended);
  return end < 0 ? slice : slice.slice(0, end + 1);
}

/** The teacher prefers the segment with the larger true return. People would look at two clips instead. */
function ask(first: Segment, second: Segment): number {
  const [a, b] = [first, second].map((steps) => steps.reduce((total, { reward }) => total + reward, 0));
  return a === b ? 0.5 : Number(a > b);
}

/** Each member's return of a segment: [members]. */
function predictedReturns(segment: Segment): number[] {
  segment.forEach(({ observation }, t) => {
    rows.data.set(observation, t * size);
  });
  predict.run();
  return predictions.map(({ data }) => data.subarray(0, segment.length).reduce((total, r) => total + r, 0));
}

/** Asks about those pairs on which the members disagree most (Christiano et al. 2017, §2.2.4), then fits the ensemble. */
function learnReward(count: number): void {
  const candidates = Array.from({ length: 5 * count }, (): [Segment, Segment] => [drawSegment(), drawSegment()]);
  const disagreement = candidates.map(([first, second]) => {
    const [a, b] = [predictedReturns(first), predictedReturns(second)];
    const p = a.map((x, k) => 1 / (1 + Math.exp(b[k] - x)));
    const middle = p.reduce((x, y) => x + y) / members;
    return p.reduce((total, x) => total + (x - middle) ** 2, 0);
  });
  const order = candidates.map((_, i) => i).sort((i, j) => disagreement[j] - disagreement[i]);
  for (const i of order.slice(0, count))
    comparisons.push({ segments: candidates[i], preferred: ask(...candidates[i]) });

  for (let step = 0; step < 200; step++) {
    const { segments, real, preferred } = fit.inputs;
    segments.data.fill(0);
    real.data.fill(0);
    for (let i = 0; i < pairs; i++) {
      const comparison = comparisons[draws.integer(comparisons.length)];
      preferred.data[i] = comparison.preferred;
      comparison.segments.forEach((segment, side) => {
        const row = side * pairs + i;
        segment.forEach(({ observation }, t) => {
          segments.data.set(observation, (row * window + t) * size);
          real.data[row * window + t] = 1;
        });
      });
    }
    fit.run();
    rewardOptimizer.step(3e-3);
  }
}

// ————— The loop —————

const pick = (row: number, from: Random): number => {
  let left = from.uniform();
  for (let a = 0; a < actions - 1; a++) {
    left -= probabilities.data[row * actions + a];
    if (left < 0) return a;
  }
  return actions - 1;
};
const start = (environment: Environment, into: Float32Array) => environment.reset(actionDraws.uint32(), into);
const actionDraws = random(seed, 'actions');
const current = environments.map(() => new Float32Array(size));
environments.forEach((environment, i) => {
  start(environment, current[i]);
});
const episodes: number[] = []; // true returns
const running = new Float64Array(copies);
const updates = Math.ceil(steps / batch);
const due = new Set(Array.from({ length: rounds }, (_, k) => Math.floor((k * updates) / (2 * rounds))));

for (let update = 0; update < updates; update++) {
  const observations = new Float32Array(batch * size);
  const [taken, logProbs, ends] = [new Int32Array(batch), new Float32Array(batch), new Uint8Array(batch)];
  const valuesSeen = new Float32Array(batch + copies);
  for (let t = 0; t <= horizon; t++) {
    current.forEach((observation, i) => {
      seen.data.set(observation, i * size);
    });
    look.run();
    valuesSeen.set(value.data, t * copies);
    if (t === horizon) break;
    for (const [i, environment] of environments.entries()) {
      const at = t * copies + i;
      taken[at] = pick(i, actionDraws);
      logProbs[at] = Math.log(probabilities.data[i * actions + taken[at]]);
      observations.set(current[i], at * size);
      const { reward, terminated, truncated } = environment.step([taken[at]], current[i]);
      ends[at] = Number(terminated || truncated);
      memory[i].push({ observation: current[i].slice(), reward, ended: terminated || truncated });
      running[i] += reward;
      if (!ends[at]) continue;
      episodes.push(running[i]);
      running[i] = 0;
      start(environment, current[i]);
    }
  }

  if (due.has(update)) learnReward(Math.round(labels / rounds));

  // The learned reward in place of the true one: the members' mean, divided by its root mean square.
  for (let t = 0; t < horizon; t++) {
    memory.forEach((all, i) => {
      rows.data.set(all[all.length - horizon + t].observation, (t * copies + i) * size);
    });
  }
  predict.run();
  const rewards = Float32Array.from({ length: batch }, (_, i) => predictions.reduce((r, { data }) => r + data[i], 0));
  const scale = Math.sqrt(rewards.reduce((total, r) => total + r * r, 0) / batch) + 1e-8;

  // Generalized advantage estimation (Schulman et al. 2016, equation 16), backward in time.
  const advantages = new Float32Array(batch);
  for (let i = 0; i < copies; i++) {
    for (let t = horizon - 1, next = 0; t >= 0; t--) {
      const at = t * copies + i;
      const goesOn = 1 - ends[at];
      const delta = rewards[at] / scale + 0.98 * goesOn * valuesSeen[at + copies] - valuesSeen[at];
      next = delta + 0.98 * 0.8 * goesOn * next;
      advantages[at] = next;
    }
  }
  const returns = advantages.map((a, at) => a + valuesSeen[at]);

  const rate = 1e-3 * (1 - update / updates);
  const order = Array.from({ length: batch }, (_, i) => i);
  for (let epoch = 0; epoch < 10; epoch++) {
    actionDraws.shuffle(order);
    for (let from = 0; from < batch; from += minibatch) {
      order.slice(from, from + minibatch).forEach((at, row) => {
        ppo.inputs.observations.data.set(observations.subarray(at * size, (at + 1) * size), row * size);
        ppo.inputs.taken.data[row] = taken[at];
        ppo.inputs.oldLogProbs.data[row] = logProbs[at];
        ppo.inputs.advantages.data[row] = advantages[at];
        ppo.inputs.returns.data[row] = returns[at];
      });
      ppo.run();
      ppoOptimizer.step(rate);
    }
  }
  if (update % 4 === 3 || update === updates - 1) {
    const last = episodes.splice(0);
    const average = last.reduce((a, b) => a + b, 0) / Math.max(1, last.length);
    console.log(`step ${(update + 1) * batch}  labels ${comparisons.length}  true return ${average.toFixed(1)}`);
  }
}
