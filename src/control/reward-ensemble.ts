/**
 * The reward model of the control half: an ensemble of small networks on (observation, action), fitted to comparisons
 * of segments (Christiano et al. 2017, §2.2.3), normalised each on its own and then averaged.
 */
import { z } from 'zod';
import {
  add,
  concat,
  input,
  mean,
  mul,
  reshape,
  slice,
  square,
  sum,
  type Tensor,
  tanh,
  trace,
  unsqueeze,
  Value,
} from '../engine/index.ts';
import { type Space, sizeOf } from '../env/index.ts';
import {
  createOptimizer,
  createParameters,
  createTrainStep,
  exportOptimizer,
  exportParameters,
  importOptimizer,
  importParameters,
  mlp,
} from '../nn/index.ts';
import { orthogonal, zeros } from '../nn/initialise.ts';
import { type ChoiceModel, choiceLoss, choiceLosses, type Distribution } from '../preference/index.ts';
import { random } from '../random.ts';
import { isSmall } from '../rl/index.ts';
import { createRewardInputs, type InputScale, joinSegments, type Steps } from './reward-inputs.ts';
import type { Experience, Segment } from './segments.ts';

const positive = z.number().positive();

export const rewardSchema = z.object({
  members: z.number().int().min(1).max(64).default(3).describe('networks in the ensemble'),
  hidden: z.array(z.number().int().min(1)).default([32, 32]).describe('widths of the hidden layers'),
  output: z.enum(['tanh', 'linear']).default('tanh').describe('last activation; tanh bounds the reward of a step'),
  lastGain: positive.default(0.1).describe('gain of the initial weights of the last layer'),
  constant: z
    .number()
    .min(0)
    .default(30)
    .describe('weight of a learnt constant in the reward of every step; 0 leaves only the network'),
  change: z.boolean().default(false).describe('also show what the step changed, and whether it ended the task'),
  terminalHead: z.boolean().default(false).describe('an output of its own for the step that ends the task'),
  learningRate: positive.default(3e-3).describe("AdamW's rate"),
  weightDecay: z.number().min(0).default(3).describe("AdamW's decoupled weight decay, of all but the constant"),
  minibatch: z.number().int().min(1).default(32).describe('comparisons a gradient, drawn with replacement'),
  firstSteps: z.number().int().min(1).default(200).describe('gradient steps of the first fit'),
  steps: z.number().int().min(1).default(100).describe('gradient steps of each later fit'),
  coverage: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('stop a fit once this share of the comparisons is predicted as chosen'),
  bootstrap: z.boolean().default(false).describe('each member learns from its own resampling of the comparisons'),
  validation: z.number().min(0).max(0.5).default(0).describe('share of the comparisons held out from every fit'),
  l2: z
    .number()
    .min(0)
    .default(0)
    .describe(
      'l2 on the weights at the start; with a validation share it adapts, so that validation loss stays between 1.1 and 1.5 of training loss',
    ),
  normalise: z
    .enum(['scale', 'zero-mean'])
    .default('scale')
    .describe('what is done to each member before averaging: scale alone, or zero mean too'),
  scaleBy: z
    .enum(['rms', 'return'])
    .default('rms')
    .describe('what is scaled to the deviation: the rewards themselves, or their discounted return'),
  deviation: positive.default(1).describe('deviation after normalising'),
});
export type RewardOptions = z.infer<typeof rewardSchema>;

/** A comparison as the ensemble learns from it. Incomparable ones are dropped before. */
export interface Labelled {
  segments: readonly [Segment, Segment];
  choice: Distribution;
}

export interface Fit {
  steps: number;
  /** Mean loss over the last minibatches. */
  loss: number;
  /** Share of the decided comparisons trained on that the mean of the ensemble predicts as chosen; NaN where none is. */
  trainAccuracy: number;
  /** The same, of those held out. */
  validationAccuracy: number;
  validationLoss: number;
  trainLoss: number;
  l2: number;
}

export type RewardEnsemble = ReturnType<typeof createRewardEnsemble>;

const TERMINAL_SCALE = 10; // landings and crashes are single steps worth a hundred others

export function createRewardEnsemble(
  spaces: { observationSize: number; actionSpace: Space },
  options: RewardOptions,
  choiceModel: ChoiceModel,
  settings: { window: number; rows: number; seed: number },
) {
  const { observationSize, actionSpace } = spaces;
  const { members, change, terminalHead, minibatch } = options;
  const { window, rows, seed } = settings;
  const inputs = createRewardInputs(observationSize, actionSpace, change);
  const { width } = inputs;
  const networks = Array.from({ length: members }, (_, m) =>
    mlp(`reward.${m}`, {
      sizes: [width, ...options.hidden, terminalHead ? 2 : 1],
      hidden: orthogonal(5 / 3),
      last: orthogonal(options.lastGain),
    }),
  );
  const constant = { name: 'reward.constant', shape: [members, 1, 1], initialise: zeros };
  const parameters = createParameters(
    [...networks.flatMap((network) => network.parameters), ...(options.constant > 0 ? [constant] : [])],
    random(seed, 'reward', 'parameters'),
  );
  const draw = random(seed, 'reward', 'minibatches');
  /** Of each member: what is subtracted, and divided by. */
  const shift = new Float64Array(members);
  const divisor = new Float64Array(members).fill(1);
  let l2 = options.l2;

  /** Rewards of rows: x [n, width], terminal [n, 1] → [members, n]. */
  const rewards = (x: Tensor, terminal: Tensor): Tensor => {
    const n = x.shape[0];
    const bound = options.output === 'tanh' ? tanh : (y: Tensor) => y;
    const y = concat(
      networks.map((network) => unsqueeze(network.apply(x), 0)),
      0,
    ); // [members, n, 1 or 2]
    const [step, end] = terminalHead ? [0, 1].map((k) => slice(y, 2, k, k + 1)) : [y];
    const shifted =
      options.constant > 0 ? add(step, mul(input(x.graph, constant.name, constant.shape), options.constant)) : step;
    if (!terminalHead) return reshape(bound(shifted), [members, n]);
    return reshape(add(bound(shifted), mul(end, mul(terminal, TERMINAL_SCALE))), [members, n]);
  };

  const train = createTrainStep(
    parameters,
    (g) => {
      const n = 2 * minibatch * window;
      const perStep = mul(
        rewards(input(g, 'x', [n, width]), input(g, 'terminal', [n, 1])),
        input(g, 'weights', [1, n]),
      );
      const returns = sum(reshape(perStep, [members, 2, minibatch, window]), { axes: [3] });
      const [first, second] = [0, 1].map((k) => reshape(slice(returns, 1, k, k + 1), [members, minibatch]));
      const losses = choiceLosses(
        choiceModel,
        first,
        second,
        input(g, 'p', [1, minibatch]),
        input(g, 'q', [1, minibatch]),
      );
      const weighted = mul(losses, input(g, 'counts', [members, minibatch]));
      const fit = sum(mean(weighted, { axes: [1] })); // members are independent: their losses add
      const penalty = parameters.specs
        .filter(({ name }) => name.endsWith('weight'))
        .map(({ name, shape }) => sum(square(input(g, name, shape))))
        .reduce((a, b) => add(a, b));
      const loss = options.l2 > 0 ? add(fit, mul(penalty, input(g, 'l2', []))) : fit;
      return { loss, fit };
    },
    { dims: {}, singleThread: isSmall(parameters, 2 * minibatch * window) },
  );
  const optimizer = createOptimizer(parameters, train.gradients, {
    kind: 'adamw',
    weightDecay: options.weightDecay,
    decay: ({ name }) => name !== constant.name,
  });
  const into = (name: string) => train.inputs[name].data as Float32Array;
  const ends = terminalHead ? into('terminal') : undefined;

  const predictor = trace(
    (g) => ({ rewards: rewards(input(g, 'x', [rows, width]), input(g, 'terminal', [rows, 1])) }),
    {
      singleThread: isSmall(parameters, rows),
    },
  );
  const predictorInputs = { x: new Value('float32', [rows, width]), terminal: new Value('float32', [rows, 1]) };
  const predicted = new Value('float32', [members, rows]);
  const predictorBinding = predictor.bind({ ...parameters.values, ...predictorInputs }, { rewards: predicted });

  /** Rewards of any number of steps, each member's as it is: [members][n]. */
  function predict(steps: Steps): Float32Array[] {
    const n = steps.terminated.length;
    const out = Array.from({ length: members }, () => new Float32Array(n));
    for (let start = 0; start < n; start += rows) {
      const end = Math.min(n, start + rows);
      for (let i = start; i < end; i++) {
        inputs.write(steps, i, predictorInputs.x.data, i - start);
        predictorInputs.terminal.data[i - start] = steps.terminated[i];
      }
      predictorBinding.run();
      for (let m = 0; m < members; m++) out[m].set(predicted.data.subarray(m * rows, m * rows + end - start), start);
    }
    return out;
  }

  /** Predicted returns of segments under the choice model: [members][segments]. */
  function segmentReturns(segments: readonly Segment[]): Float64Array[] {
    const rewardsOf = predict(joinSegments(segments));
    return rewardsOf.map((member) => {
      let at = 0;
      return Float64Array.from(segments, ({ length }) => {
        let total = 0;
        for (let t = 0; t < length; t++) total += member[at + t] * choiceModel.discount ** t;
        at += length;
        return total;
      });
    });
  }

  /** Copies a segment's steps, padded to the window with weight 0, into rows from `to`. */
  function loadSegment(x: Float32Array, to: number): void {
    into('x').set(x, to * window * width);
    const length = x.length / width;
    const weights = into('weights');
    for (let t = 0; t < window; t++) weights[to * window + t] = t < length ? choiceModel.discount ** t : 0;
  }

  function fit(labelled: readonly Labelled[], { first }: { first: boolean }): Fit {
    // Which comparisons are held out depends on their place alone, so that none is ever trained on.
    const every = Math.round(1 / options.validation);
    const isHeldOut = (i: number) => i % every === every - 1;
    const training = labelled.flatMap((_, i) => (isHeldOut(i) ? [] : [i]));
    const validation = labelled.flatMap((_, i) => (isHeldOut(i) ? [i] : []));
    const features = labelled.map(({ segments }) => segments.map(inputs.ofSegment));
    const counts = bootstrapCounts(labelled.length);
    const wanted = first ? options.firstSteps : options.steps;
    let steps = 0;
    const losses: number[] = [];
    if (options.l2 > 0) into('l2')[0] = l2;
    for (; steps < wanted; steps++) {
      ends?.fill(0);
      for (let b = 0; b < minibatch; b++) {
        const i = training[draw.integer(training.length)];
        for (const side of [0, 1]) {
          const row = side * minibatch + b;
          loadSegment(features[i][side], row);
          const { terminated, length } = labelled[i].segments[side];
          if (ends && terminated) ends[row * window + length - 1] = 1;
        }
        into('p')[b] = labelled[i].choice[0];
        into('q')[b] = labelled[i].choice[1];
        for (let m = 0; m < members; m++) into('counts')[m * minibatch + b] = counts[m][i];
      }
      const outputs = train.run();
      optimizer.step(options.learningRate);
      losses.push(outputs.fit.data[0] as number);
      if (
        options.coverage !== undefined &&
        steps % 10 === 9 &&
        assess(labelled, training).accuracy >= options.coverage
      ) {
        steps++;
        break;
      }
    }
    const onTraining = assess(labelled, training);
    const onValidation = assess(labelled, validation);
    if (options.l2 > 0 && validation.length > 0) {
      const ratio = onValidation.loss / onTraining.loss;
      if (ratio > 1.5) l2 *= 1.5;
      else if (ratio < 1.1) l2 /= 1.5;
    }
    const last = losses.slice(-20);
    return {
      steps,
      loss: last.reduce((a, b) => a + b, 0) / (last.length * members),
      trainAccuracy: onTraining.accuracy,
      trainLoss: onTraining.loss,
      validationAccuracy: onValidation.accuracy,
      validationLoss: onValidation.loss,
      l2,
    };
  }

  /** How often each member's resampling holds each comparison (all once without bootstrap). */
  function bootstrapCounts(n: number): Float32Array[] {
    return Array.from({ length: members }, (_, m) => {
      if (!options.bootstrap) return new Float32Array(n).fill(1);
      // Poisson(1) counts of each comparison's own (Oza 2001): a member's resampling stays as comparisons are added.
      return Float32Array.from({ length: n }, (_, i) =>
        poissonOne(random(seed, 'reward', 'bootstrap', m, i).uniform()),
      );
    });
  }

  /** How well the mean of the ensemble predicts the given comparisons. */
  function assess(labelled: readonly Labelled[], which: readonly number[]): { accuracy: number; loss: number } {
    const [first, second] = [0, 1].map((side) => segmentReturns(which.map((i) => labelled[i].segments[side])));
    let [right, decided, loss] = [0, 0, 0];
    which.forEach((i, at) => {
      const [p, q] = labelled[i].choice;
      const difference = meanOf(first, at) - meanOf(second, at);
      loss += choiceLoss(choiceModel, difference, 0, [p, q]);
      if (p === q) return;
      decided++;
      if (difference !== 0 && difference > 0 === p > q) right++;
    });
    return { accuracy: right / decided, loss: loss / which.length };
  }

  const meanOf = (returns: Float64Array[], at: number) => returns.reduce((total, r) => total + r[at], 0) / members;

  /** Rewards of a rollout for the policy: each member normalised, then averaged. */
  function reward(steps: Steps, out: Float32Array): void {
    const each = predict(steps);
    out.fill(0);
    for (let m = 0; m < members; m++) {
      for (let i = 0; i < out.length; i++) out[i] += (each[m][i] - shift[m]) / divisor[m] / members;
    }
  }

  /** Works out each member's normalisation from recent experience. */
  function normalise(experience: Experience, discount: number): void {
    const held = experience.held * experience.count;
    const part = (from: Float32Array, size: number) => from.subarray(0, held * size);
    const each = predict({
      observations: part(experience.observations, observationSize),
      actions: part(experience.actions, sizeOf(actionSpace)),
      nextObservations: part(experience.nextObservations, observationSize),
      terminated: experience.terminated.subarray(0, held),
    });
    each.forEach((r, m) => {
      const average = r.reduce((a, b) => a + b, 0) / r.length;
      shift[m] = options.normalise === 'zero-mean' ? average : 0;
      const spread =
        options.scaleBy === 'rms'
          ? Math.sqrt(r.reduce((a, b) => a + (b - shift[m]) ** 2, 0) / r.length)
          : returnDeviation(r, shift[m], experience, discount);
      divisor[m] = Math.max(spread, 1e-6) / options.deviation;
    });
  }

  return {
    members,
    fit,
    predict,
    segmentReturns,
    reward,
    normalise,
    /** Mean over members of the predicted returns. */
    meanReturns: (segments: readonly Segment[]) => {
      const each = segmentReturns(segments);
      return Float64Array.from(segments, (_, i) => meanOf(each, i));
    },
    setScale(next: InputScale) {
      inputs.scale = next;
    },
    save: () => ({
      state: {
        random: draw.save(),
        shift: [...shift],
        divisor: [...divisor],
        l2,
        scale: inputs.scale,
      },
      tensors: { ...exportParameters(parameters), ...exportOptimizer(optimizer, 'reward.optimizer.') },
    }),
    restore(state: RewardState, tensors: Parameters<typeof importOptimizer>[1]) {
      importParameters(parameters, tensors);
      importOptimizer(optimizer, tensors, 'reward.optimizer.');
      draw.restore(state.random);
      shift.set(state.shift);
      divisor.set(state.divisor);
      l2 = state.l2;
      inputs.scale = state.scale;
    },
    release() {
      for (const part of [
        predictorBinding,
        predictor,
        predicted,
        ...Object.values(predictorInputs),
        optimizer,
        train,
        parameters,
      ])
        part.release();
    },
  };
}

export interface RewardState {
  random: [number, number, number, number];
  shift: number[];
  divisor: number[];
  l2: number;
  scale: InputScale;
}

/** Deviation of the discounted return, from each environment's held steps in order. */
function returnDeviation(rewards: Float32Array, shift: number, experience: Experience, discount: number): number {
  const { count, held, oldest, terminated, truncated } = experience;
  let [sum, squares, n] = [0, 0, 0];
  for (let e = 0; e < count; e++) {
    let running = 0;
    for (let t = 0; t < held; t++) {
      const i = ((oldest + t) % held) * count + e;
      running = running * discount + rewards[i] - shift;
      sum += running;
      squares += running * running;
      n++;
      if (terminated[i] || truncated[i]) running = 0;
    }
  }
  return Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
}

/** A Poisson(1) count from a uniform number, by inversion. */
function poissonOne(u: number): number {
  let count = 0;
  let p = Math.exp(-1);
  for (let left = u - p; left >= 0 && count < 20; left -= p) p /= ++count;
  return count;
}
