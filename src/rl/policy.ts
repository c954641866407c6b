/** Policies: a network from observations to a distribution over actions, and a critic. */

import { constant, input, type Tensor } from '../engine/graph.ts';
import { add, exp, greater, mul, neg, square, sub, where } from '../engine/ops/elementwise.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { logSoftmax } from '../engine/ops/normalize.ts';
import { sum } from '../engine/ops/reduce.ts';
import { reshape, slice } from '../engine/ops/shape.ts';
import { someAllowed } from '../env/action-mask.ts';
import { actionWidthOf, type Box, type Space, sizeOf } from '../env/environment.ts';
import { imageCnn } from '../nn/cnn.ts';
import { orthogonal } from '../nn/initialize.ts';
import { type MlpOptions, mlp, type Network } from '../nn/mlp.ts';
import type { ParameterSpec } from '../nn/parameters.ts';
import type { Random } from '../random.ts';
import { actionRanges, fromUnits, isBounded, unitRanges } from './action-ranges.ts';

/** Architecture of a policy network. */
export interface PolicyNetworkOptions {
  /** Widths of the hidden layers, for actor and critic. */
  hidden: readonly number[];
  /** Activation after each hidden layer. */
  activation: NonNullable<MlpOptions['activation']>;
  /** Gain of the orthogonal initial weights of the hidden layers. */
  gain: number;
  /** Standard deviation of the first actions, if they are continuous; 1 by default. Of rescaled ones, if they are. */
  initialDeviation?: number;
  /**
   * Whether continuous actions are rescaled to ±1 by their bounds, where they have any; by default they are not.
   */
  rescaleActions?: boolean;
}

/** What a policy remembers of an episode. Actor and critic read it in place of the observations. */
export interface Memory {
  /** Numbers in it; all 0 when an episode begins. */
  size: number;
  /** Observations [n, o] and the memory before them, [n, size] → the memory after them, [n, size]. */
  step(observations: Tensor, memory: Tensor): Tensor;
  /** `step` over sequences, as `Gru.unroll`. */
  unroll(observations: Tensor, memory: Tensor, begins: Tensor, sizes: { length: number; n: number }): Tensor;
  /** What actor and critic read: the memory, and the action mask at the end of the observations, if there is one. */
  read(observations: Tensor, memory: Tensor): Tensor;
}

/** A distribution over actions by its parameters: log-probabilities of discrete actions, or the means of a box's. */
export interface PolicyNetwork {
  /** Numbers in an observation. */
  observationSize: number;
  /** Actions that the policy chooses from. */
  actionSpace: Space;
  /** Numbers in an action. */
  actionSize: number;
  /** Outputs per row: the number of discrete actions, or actionSize. */
  outputSize: number;
  /** Observations [n, o] → distribution, before it is bounded. */
  actor: Network;
  /** Observations [n, o] → values [n, 1]. */
  critic: Network;
  /** What a recurrent policy remembers (recurrent-policy.ts). */
  memory?: Memory;
  /** Names and shapes of all parameters. */
  parameters: ParameterSpec[];
  /** Observations [n, o] → distribution [n, outputSize]. */
  distribution(observations: Tensor): Tensor;
  /** log π(a|s), [n, 1], for actions from `encodeAction`, [n, outputSize]. */
  logProbability(distribution: Tensor, actions: Tensor): Tensor;
  /**
   * Entropy in nats, [n, 1] ([1, 1] if it is the same for every row). With `rescaleActions`, that of rescaled actions, so
   * that it does not depend on their range.
   */
  entropy(distribution: Tensor): Tensor;
  /** KL(held ‖ distribution) in nats, [n, 1]. `held` has the log deviations, [1, actionSize], of a box's Gaussian. */
  divergence(held: { distribution: Tensor; logDeviation?: Tensor }, distribution: Tensor): Tensor;
}

/** The parts of a policy that acting needs. */
export type ActingPolicy = Pick<
  PolicyNetwork,
  'observationSize' | 'actionSpace' | 'actionSize' | 'outputSize' | 'actor' | 'distribution' | 'memory'
>;

const LOG_2PI = Math.log(2 * Math.PI);
/** Name of the parameter with the log deviations of a box's Gaussian, [1, actionSize]. */
export const LOG_DEVIATION = 'actor.logDeviation';

/**
 * Separate perceptrons for actor and critic. For images (`shape` of the observation space), both share the convolutions
 * of Mnih et al. 2015. A box action is a Gaussian whose deviations do not depend on the state; its means and deviations
 * are in the action space's units. With a `mask` at the end of the observations, actions that it does not allow have
 * probability 0; the networks read the numbers before it.
 */
export function createPolicyNetwork(
  observationSize: number,
  actionSpace: Space,
  options: PolicyNetworkOptions,
  { shape, mask = 0 }: Pick<Box, 'shape' | 'mask'> = {},
): PolicyNetwork {
  const { hidden, activation, gain, initialDeviation = 1, rescaleActions = false } = options;
  const actionSize = sizeOf(actionSpace);
  const outputSize = actionWidthOf(actionSpace);
  const seenSize = observationSize - mask;
  const seen = (x: Tensor) => (mask > 0 ? slice(x, 1, 0, seenSize) : x);
  const trunk = shape && createTrunk(shape as [number, number, number]);
  const network = (name: string, out: number, last: number): Network => {
    const head = mlp(name, {
      sizes: [trunk?.width ?? seenSize, ...hidden, out],
      activation,
      hidden: orthogonal(gain),
      last: orthogonal(last),
    });
    return { ...head, apply: (x) => head.apply(trunk ? trunk.apply(x, seen) : seen(x)) };
  };
  // a small last layer: nearly uniform at first (Andrychowicz et al. 2021)
  const actor = network('actor', outputSize, 0.01);
  const critic = network('critic', 1, 1);
  const before = trunk?.parameters ?? [];
  const shared = { observationSize, actionSpace, actionSize, outputSize, actor, critic };
  if (actionSpace.kind === 'discrete') {
    return {
      ...shared,
      parameters: [...before, ...actor.parameters, ...critic.parameters],
      distribution: (x) =>
        logSoftmax(mask > 0 ? allowed(actor.apply(x), slice(x, 1, seenSize, observationSize)) : actor.apply(x)),
      logProbability: (logProbs, chosen) =>
        matmul(mul(logProbs, chosen), constant(chosen.graph, new Array(outputSize).fill(1), [outputSize, 1])),
      entropy: (logProbs) => neg(sum(mul(exp(logProbs), logProbs), { axes: [1], keepDims: true })),
      divergence: ({ distribution: held }, logProbs) =>
        sum(mul(exp(held), sub(held, logProbs)), { axes: [1], keepDims: true }),
    };
  }
  const ranges = rescaleActions ? actionRanges(actionSpace) : unitRanges(actionSize);
  const half = Array.from(ranges.half);
  const isIdentity = half.every((width, j) => width === 1 && ranges.center[j] === 0);
  const logs = half.map((width) => Math.log(initialDeviation * width));
  const deviation: ParameterSpec = {
    name: LOG_DEVIATION,
    shape: [1, actionSize],
    initialize: (data) => data.set(logs),
  };
  const logDeviation = (like: Tensor) => input(like.graph, deviation.name, deviation.shape);
  return {
    ...shared,
    parameters: [...before, ...actor.parameters, deviation, ...critic.parameters],
    distribution(x) {
      const mean = actor.apply(x);
      return isIdentity ? mean : fromUnits(mean, ranges);
    },
    logProbability(mean, actions) {
      const log = logDeviation(mean);
      const z = mul(sub(actions, mean), exp(neg(log)));
      return mul(sum(add(add(square(z), mul(log, 2)), LOG_2PI), { axes: [1], keepDims: true }), -0.5);
    },
    entropy(mean) {
      const log = logDeviation(mean);
      const rest = half.map((width) => 0.5 * (1 + LOG_2PI) - Math.log(width));
      return sum(add(log, constant(mean.graph, rest, [1, actionSize])), { axes: [1], keepDims: true });
    },
    divergence({ distribution: held, logDeviation: heldDeviation }, mean) {
      const log = logDeviation(mean);
      const wider = sub(heldDeviation!, log);
      const z = mul(sub(held, mean), exp(neg(log)));
      const each = sub(mul(add(exp(mul(wider, 2)), square(z)), 0.5), add(wider, 0.5));
      return sum(each, { axes: [1], keepDims: true });
    },
  };
}

/** A logit whose probability is exactly 0 in float32, and whose product with it is not NaN. */
const IMPOSSIBLE = -1e8;

/** Logits [n, actions] of what a mask of the same shape allows. */
const allowed = (logits: Tensor, mask: Tensor): Tensor => where(greater(mask, 0.5), logits, IMPOSSIBLE);

/** Convolutions on flat images of 0 … 255, [n, c·h·w] → [n, width]; traced once for all users of the same tensor. */
function createTrunk(image: readonly [number, number, number]): Omit<Network, 'apply'> & {
  width: number;
  /** `pixels` takes the image out of x. */
  apply(x: Tensor, pixels: (x: Tensor) => Tensor): Tensor;
} {
  const { parameters, apply } = imageCnn('trunk', image);
  const seen = new WeakMap<Tensor, Tensor>();
  return {
    parameters,
    width: parameters.at(-1)!.shape[0],
    apply(x, pixels) {
      const features = seen.get(x) ?? apply(mul(reshape(pixels(x), [x.shape[0], ...image]), 1 / 255));
      seen.set(x, features);
      return features;
    },
  };
}

/** Draws one action per row into `actions` [n, actionSize], and its log-probability into `logProbs` [n], if set. */
export function sampleActions(
  policy: ActingPolicy,
  distribution: Float32Array,
  logDeviation: Float32Array | undefined,
  random: Random,
  actions: Float32Array,
  logProbs?: Float32Array,
): void {
  const { actionSize, outputSize } = policy;
  const rows = actions.length / actionSize;
  for (let row = 0; row < rows; row++) {
    const start = row * outputSize;
    if (policy.actionSpace.kind === 'discrete') {
      let left = random.uniform();
      let action = 0; // the last one that is possible, where rounding leaves something
      for (let a = 0; a < outputSize && left >= 0; a++) {
        const probability = Math.exp(distribution[start + a]);
        if (probability > 0) action = a;
        left -= probability;
      }
      actions[row] = action;
      if (logProbs) logProbs[row] = distribution[start + action];
      continue;
    }
    let logProb = 0;
    for (let j = 0; j < actionSize; j++) {
      const z = random.normal();
      actions[start + j] = distribution[start + j] + Math.exp(logDeviation![j]) * z;
      logProb -= 0.5 * (z * z + LOG_2PI) + logDeviation![j];
    }
    if (logProbs) logProbs[row] = logProb;
  }
}

/** One action (actionSize numbers) as a row for `logProbability`: one-hot if discrete, unchanged for a box. */
export function encodeAction(
  policy: PolicyNetwork,
  actions: Float32Array,
  from: number,
  out: Float32Array,
  to: number,
): void {
  const { actionSpace, outputSize } = policy;
  const discrete = actionSpace.kind === 'discrete';
  for (let j = 0; j < outputSize; j++) out[to + j] = discrete ? Number(actions[from] === j) : actions[from + j];
}

/** The likeliest action of each row. */
export function greedyActions(policy: ActingPolicy, distribution: Float32Array, actions: Float32Array): void {
  const { outputSize } = policy;
  if (policy.actionSpace.kind === 'box') {
    actions.set(distribution);
    return;
  }
  for (let row = 0; row < actions.length; row++) {
    let best = 0;
    for (let a = 1; a < outputSize; a++) {
      if (distribution[row * outputSize + a] > distribution[row * outputSize + best]) best = a;
    }
    actions[row] = best;
  }
}

/**
 * Actions drawn uniformly from those that the observations [n, o] allow, or else from the action space; numbers without
 * bounds from −1 to 1.
 */
export function uniformActions(
  { observationSpace, actionSpace }: { observationSpace: Box; actionSpace: Space },
  random: Random,
  observations: Float32Array,
  actions: Float32Array,
): void {
  const size = sizeOf(observationSpace);
  for (let i = 0; i < actions.length; i++) {
    if (actionSpace.kind === 'discrete') {
      const seen = observations.subarray(i * size, (i + 1) * size);
      actions[i] = someAllowed(observationSpace, seen, actionSpace.n, random);
    } else {
      const j = i % actionSpace.low.length;
      const [low, high] = [actionSpace.low[j], actionSpace.high[j]];
      actions[i] = isBounded(low, high) ? low + (high - low) * random.uniform() : 2 * random.uniform() - 1;
    }
  }
}
