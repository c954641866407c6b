/**
 * The reward model for control: an ensemble of small networks on (observation, action), fitted to comparisons of
 * segments (Christiano et al. 2017, §2.2.3). Each member is normalized on its own before they are averaged.
 */

import { sizeOf } from '../../env/environment.ts';
import { createParameters, exportParameters, importParameters } from '../../nn/parameters.ts';
import { breathe, turnIsDue } from '../../node.ts';
import type { ChoiceModel } from '../../preference/choice-model.ts';
import { random } from '../../random.ts';
import type { Experience, Segment, SegmentNumbers } from '../segments.ts';
import { createRewardFit, type FitState, type FitTensors } from './fit.ts';
import { type InputScale, joinSegments, packSteps, type StepRows, unpackSteps } from './inputs.ts';
import { createPredictor, createRewardNetworks, type RewardSpaces } from './model.ts';
import { normalization } from './normalization.ts';
import type { RewardOptions } from './options.ts';

/** An ensemble of reward networks. */
export type RewardEnsemble = ReturnType<typeof createRewardEnsemble>;

const IMAGES = 64; // rows predicted at once: their features take a hundred kilobytes each
const FIRST_STEPS = 2048; // steps of random play that are kept
const FIRST = 'reward.first.'; // prefix of their tensors' names

/** Predicted returns of segments under the choice model: [members][segments]. */
function returnsOf(
  segments: readonly Segment[],
  predict: (steps: StepRows) => readonly ArrayLike<number>[],
  discount: number,
): Float64Array[] {
  const rewardsOf = predict(joinSegments(segments));
  return rewardsOf.map((member) => {
    let at = 0;
    return Float64Array.from(segments, ({ length }) => {
      let total = 0;
      for (let t = 0; t < length; t++) total += member[at + t] * discount ** t;
      at += length;
      return total;
    });
  });
}

/** The mean over members of normalized rewards, plus a bonus for their deviation. */
function normalizedMean(
  each: readonly ArrayLike<number>[],
  { shift, divisor, bonus }: { shift: Float64Array; divisor: Float64Array; bonus: number },
  out: Float32Array,
): void {
  const members = each.length;
  const normalized = (m: number, i: number) => (each[m][i] - shift[m]) / divisor[m];
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

/** The oldest steps of the experience, at most `most`. */
function stepsOf(
  experience: Experience,
  { observationSize, actionSpace }: RewardSpaces,
  most = Number.POSITIVE_INFINITY,
) {
  const rows = Math.min(experience.held * experience.count, most);
  const part = <A extends SegmentNumbers>(from: A, size: number) => from.subarray(0, rows * size) as A;
  return {
    observations: part(experience.observations, observationSize),
    actions: part(experience.actions, sizeOf(actionSpace)),
    nextObservations: part(experience.nextObservations, observationSize),
    terminated: part(experience.terminated, 1),
  };
}

/**
 * Creates an ensemble with fresh weights. `rows`: steps whose reward is predicted at once; `window`: the length of the
 * longest segment.
 */
export function createRewardEnsemble(
  spaces: RewardSpaces,
  options: RewardOptions,
  choiceModel: ChoiceModel,
  settings: { window: number; rows: number; seed: number },
) {
  const image = spaces.shape !== undefined;
  const { members } = options;
  const { window, seed } = settings;
  const model = createRewardNetworks(spaces, options);
  const { inputs } = model;
  const parameters = createParameters(model.parameters, random(seed, 'reward', 'parameters'));
  const predictor = createPredictor(model, parameters, image ? Math.min(IMAGES, settings.rows) : settings.rows);
  const { predict, predictFreely } = predictor;
  /** By member: the number subtracted from its rewards, and the one they are divided by. */
  const shift = new Float64Array(members);
  const divisor = new Float64Array(members).fill(1);
  const endsPaid = new Array<boolean>(members).fill(false);

  /** With `zero-at-first`: the steps whose mean reward is 0. */
  let first: ReturnType<typeof unpackSteps>;

  const segmentReturns = (segments: readonly Segment[]) => returnsOf(segments, predict, choiceModel.discount);
  /** Mean over members of the predicted returns. */
  function meanReturns(segments: readonly Segment[]): Float64Array {
    const each = segmentReturns(segments);
    return Float64Array.from(segments, (_, i) => each.reduce((total, member) => total + member[i], 0) / members);
  }

  const fitting = createRewardFit({ ...model, parameters, meanReturns }, options, choiceModel, { window, seed });

  /**
   * Rewards of a rollout for the policy: each member normalized, then averaged, plus the bonus for disagreement as it
   * has decayed by environment step `step`.
   */
  async function reward(steps: StepRows, out: Float32Array, step: number): Promise<void> {
    const each = await predictFreely(steps);
    normalizedMean(each, { shift, divisor, bonus: options.bonus * (1 - options.bonusDecay) ** step }, out);
  }

  /** Computes each member's normalization from recent experience. */
  async function normalize(experience: Experience, discount: number): Promise<void> {
    if (options.normalize === 'zero-at-first')
      first ??= unpackSteps(FIRST, packSteps(FIRST, stepsOf(experience, spaces, image ? IMAGES : FIRST_STEPS)));
    const firsts = first && (await predictFreely(first));
    for (const [m, rewards] of (await predictFreely(stepsOf(experience, spaces))).entries()) {
      if (turnIsDue()) await breathe();
      const known = { first: firsts?.[m], endsPaid: endsPaid[m] };
      const found = normalization(rewards, known, experience, discount, options);
      [shift[m], divisor[m], endsPaid[m]] = [found.shift, found.divisor, found.endsPay];
    }
  }

  /** Takes over another ensemble's state after a fit; the steps whose mean reward is 0 stay. */
  function adopt(state: RewardState, tensors: FitTensors): void {
    importParameters(parameters, tensors);
    fitting.restore(state, tensors);
    shift.set(state.shift);
    divisor.set(state.divisor);
    state.endsPaid.forEach((paid, m) => {
      endsPaid[m] = paid;
    });
    inputs.scale = state.scale;
  }

  return {
    members,
    /** Fits the networks to comparisons. */
    fit: fitting.fit,
    /** Rewards of steps by each member, before normalization: [members][steps]. */
    predict,
    /** Returns of segments by each member: [members][segments]. */
    segmentReturns,
    /** The reward that the policy is trained on: the members' normalized mean. */
    reward,
    /** Computes each member's normalization from recent experience. */
    normalize,
    /** Whether a living reward is removed. As it is what the policy earns now, every update needs a normalization. */
    removesLivingReward: () => options.livingReward === 'remove' || endsPaid.some(Boolean),
    /** Mean returns of segments over the members. */
    meanReturns,
    /** Where a segment lies, for queries by coverage. */
    pointOf: inputs.pointOf,
    /** Sets the scale of the inputs. */
    setScale(next: InputScale) {
      inputs.scale = next;
    },
    /** State and tensors, for a checkpoint. */
    save() {
      const { state, tensors } = fitting.save();
      return {
        state: {
          random: state.random,
          shift: [...shift],
          divisor: [...divisor],
          endsPaid: [...endsPaid],
          l2: state.l2,
          scale: inputs.scale,
        },
        tensors: { ...exportParameters(parameters), ...tensors, ...(first && packSteps(FIRST, first)) },
      };
    },
    /** Takes over the networks of a fit in another thread. */
    adopt,
    /** Restores what `save` returned. */
    restore(state: RewardState, tensors: FitTensors) {
      adopt(state, tensors);
      first = unpackSteps(FIRST, tensors);
    },
    /** Frees what it holds; it cannot be used afterwards. */
    [Symbol.dispose]() {
      for (const part of [predictor, fitting, parameters]) part[Symbol.dispose]();
    },
  };
}

/** The state of an ensemble without its tensors. */
export interface RewardState extends FitState {
  shift: number[];
  divisor: number[];
  /** By member. */
  endsPaid: boolean[];
  scale: InputScale;
}
