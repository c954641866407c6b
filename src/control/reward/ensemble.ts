/**
 * The reward model of the control half: an ensemble of small networks on (observation, action), fitted to comparisons
 * of segments (Christiano et al. 2017, §2.2.3), normalized each on its own and then averaged.
 */
import {
  add,
  concat,
  input,
  mul,
  reshape,
  slice,
  type Tensor,
  tanh,
  trace,
  unsqueeze,
  Value,
} from '../../engine/index.ts';
import { type Space, sizeOf } from '../../env/index.ts';
import { HeedError } from '../../error.ts';
import { createParameters, exportParameters, importParameters } from '../../nn/index.ts';
import { zeros } from '../../nn/initialize.ts';
import type { ChoiceModel } from '../../preference/index.ts';
import { random } from '../../random.ts';
import { isSmall } from '../../rl/index.ts';
import type { Experience, Numbers, Segment } from '../segments.ts';
import { createRewardFit, type FitState, type FitTensors } from './fit.ts';
import { imageInputs, imageRewardNetwork, pixels } from './images.ts';
import { createRewardInputs, type InputScale, joinSegments, packSteps, type StepRows, unpackSteps } from './inputs.ts';
import { rewardNetwork } from './network.ts';
import { normalization } from './normalization.ts';
import type { RewardOptions } from './options.ts';

/** An ensemble of reward networks. */
export type RewardEnsemble = ReturnType<typeof createRewardEnsemble>;

const IMAGES = 64; // whose reward is predicted at once: their features take a hundred kilobytes each
const FIRST_STEPS = 2048; // of random play, that are kept
const FIRST = 'reward.first.'; // of their tensors' names
const TERMINAL_SCALE = 10; // landings and crashes are single steps worth a hundred others

/**
 * Creates an ensemble with fresh weights. `rows`: steps whose reward is predicted at once; `window`: the longest
 * segment.
 */
export function createRewardEnsemble(
  spaces: { observationSize: number; actionSpace: Space; shape?: readonly number[] },
  options: RewardOptions,
  choiceModel: ChoiceModel,
  settings: { window: number; rows: number; seed: number },
) {
  const { observationSize, actionSpace } = spaces;
  const image = spaces.shape as [number, number, number] | undefined;
  const { members, change, terminalHead } = options;
  if (image && change) {
    throw new HeedError('reward.change shows what a step changed in numbers, and these observations are images', {
      hint: 'leave it out: several frames in an observation show what moves',
    });
  }
  const { window, seed } = settings;
  const rows = image ? Math.min(IMAGES, settings.rows) : settings.rows;
  const inputs = image ? imageInputs(observationSize) : createRewardInputs(observationSize, actionSpace, change);
  const { width } = inputs;
  const outputs = terminalHead ? 2 : 1;
  const networks = Array.from({ length: members }, (_, m) =>
    image ? imageRewardNetwork(m, image, outputs, options) : rewardNetwork(m, width, outputs, options),
  );
  const constant = { name: 'reward.constant', shape: [members, 1, 1], initialize: zeros };
  const parameters = createParameters(
    [...networks.flatMap((network) => network.parameters), ...(options.constant > 0 ? [constant] : [])],
    random(seed, 'reward', 'parameters'),
  );
  /** Of each member: what is subtracted, and divided by. */
  const shift = new Float64Array(members);
  const divisor = new Float64Array(members).fill(1);

  /** With `zero-at-first`, steps that are worth 0 on average. */
  let first: ReturnType<typeof unpackSteps>;

  /** Rewards of rows: x [n, width], terminal [n, 1] → [members, n]. With `seed`, under dropout. */
  const rewards = (x: Tensor, terminal: Tensor, seed?: Tensor): Tensor => {
    const n = x.shape[0];
    const seen = image ? pixels(x, image) : x;
    const bound = options.output === 'tanh' ? tanh : (y: Tensor) => y;
    const y = concat(
      networks.map((network) => unsqueeze(network.apply(seen, seed), 0)),
      0,
    ); // [members, n, 1 or 2]
    const [step, end] = terminalHead ? [0, 1].map((k) => slice(y, 2, k, k + 1)) : [y];
    const shifted =
      options.constant > 0 ? add(step, mul(input(x.graph, constant.name, constant.shape), options.constant)) : step;
    if (!terminalHead) return reshape(bound(shifted), [members, n]);
    return reshape(add(bound(shifted), mul(end, mul(terminal, TERMINAL_SCALE))), [members, n]);
  };

  const predictor = trace(
    (g) => ({ rewards: rewards(input(g, 'x', [rows, width], inputs.dtype), input(g, 'terminal', [rows, 1])) }),
    { singleThread: !image && isSmall(parameters, rows) },
  );
  const predictorInputs = { x: new Value(inputs.dtype, [rows, width]), terminal: new Value('float32', [rows, 1]) };
  const predicted = new Value('float32', [members, rows]);
  const predictorBinding = predictor.bind({ ...parameters.values, ...predictorInputs }, { rewards: predicted });

  /** Rewards of any number of steps, each member's as it is: [members][n]. */
  function predict(steps: StepRows): Float32Array[] {
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

  /** Mean over members of the predicted returns. */
  function meanReturns(segments: readonly Segment[]): Float64Array {
    const each = segmentReturns(segments);
    return Float64Array.from(segments, (_, i) => each.reduce((total, member) => total + member[i], 0) / members);
  }

  const fitting = createRewardFit(
    { parameters, inputs, rewards, meanReturns, constant: constant.name },
    options,
    choiceModel,
    { window, seed },
  );

  /**
   * Rewards of a rollout for the policy: each member normalized, then averaged. The bonus for what members differ about
   * is what it has fallen to at environment step `step`.
   */
  function reward(steps: StepRows, out: Float32Array, step: number): void {
    const each = predict(steps);
    const normalized = (m: number, i: number) => (each[m][i] - shift[m]) / divisor[m];
    const bonus = options.bonus * (1 - options.bonusDecay) ** step;
    out.fill(0);
    for (let m = 0; m < members; m++) {
      for (let i = 0; i < out.length; i++) out[i] += normalized(m, i) / members;
    }
    if (bonus === 0) return;
    for (let i = 0; i < out.length; i++) {
      let squares = 0;
      for (let m = 0; m < members; m++) squares += (normalized(m, i) - out[i]) ** 2;
      out[i] += bonus * Math.sqrt(squares / members);
    }
  }

  /** The first rows of what the experience holds. */
  function stepsOf(experience: Experience, most = Number.POSITIVE_INFINITY) {
    const rows = Math.min(experience.held * experience.count, most);
    const part = <A extends Numbers>(from: A, size: number) => from.subarray(0, rows * size) as A;
    return {
      observations: part(experience.observations, observationSize),
      actions: part(experience.actions, sizeOf(actionSpace)),
      nextObservations: part(experience.nextObservations, observationSize),
      terminated: part(experience.terminated, 1),
    };
  }

  /** Works out each member's normalization from recent experience. */
  function normalize(experience: Experience, discount: number): void {
    if (options.normalize === 'zero-at-first')
      first ??= unpackSteps(FIRST, packSteps(FIRST, stepsOf(experience, image ? IMAGES : FIRST_STEPS)));
    const firsts = first && predict(first);
    predict(stepsOf(experience)).forEach((r, m) => {
      [shift[m], divisor[m]] = normalization(r, firsts?.[m], experience, discount, options);
    });
  }

  /** Takes over what another has learned; the steps that are worth 0 stay. */
  function adopt(state: RewardState, tensors: FitTensors): void {
    importParameters(parameters, tensors);
    fitting.restore(state, tensors);
    shift.set(state.shift);
    divisor.set(state.divisor);
    inputs.scale = state.scale;
  }

  return {
    members,
    fit: fitting.fit,
    predict,
    segmentReturns,
    reward,
    normalize,
    meanReturns,
    pointOf: inputs.pointOf,
    setScale(next: InputScale) {
      inputs.scale = next;
    },
    save() {
      const { state, tensors } = fitting.save();
      return {
        state: {
          random: state.random,
          shift: [...shift],
          divisor: [...divisor],
          l2: state.l2,
          scale: inputs.scale,
        },
        tensors: { ...exportParameters(parameters), ...tensors, ...(first && packSteps(FIRST, first)) },
      };
    },
    adopt,
    restore(state: RewardState, tensors: FitTensors) {
      adopt(state, tensors);
      first = unpackSteps(FIRST, tensors);
    },
    [Symbol.dispose]() {
      for (const part of [
        predictorBinding,
        predictor,
        predicted,
        ...Object.values(predictorInputs),
        fitting,
        parameters,
      ])
        part[Symbol.dispose]();
    },
  };
}

/** The state of an ensemble without its tensors. */
export interface RewardState extends FitState {
  shift: number[];
  divisor: number[];
  scale: InputScale;
}
