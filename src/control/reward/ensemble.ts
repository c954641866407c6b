/**
 * The reward model for control: an ensemble of small networks on (observation, action), fitted to comparisons of
 * segments (Christiano et al. 2017, §2.2.3). Each member is normalized on its own before they are averaged.
 */

import { sizeOf } from '../../env/environment.ts';
import { createParameters, exportParameters, importParameters } from '../../nn/parameters.ts';
import { atOnce, breathe, turnIsDue } from '../../node.ts';
import type { ChoiceModel } from '../../preference/choice-model.ts';
import { random } from '../../random.ts';
import type { Experience, Segment, SegmentNumbers } from '../segments.ts';
import { createRewardFit, type FitState, type FitTensors } from './fit.ts';
import { type InputScale, joinSegments, packSteps, type StepRows, unpackSteps } from './inputs.ts';
import { createPredictor, createRewardNetworks, type RewardSpaces } from './model.ts';
import { normalization } from './normalization.ts';
import type { RewardOptions } from './options.ts';

/** What an ensemble is created from. */
export type EnsembleSettings = Parameters<typeof createRewardEnsembleInParts>;
/** An ensemble of reward networks. */
export type RewardEnsemble =
  ReturnType<typeof createRewardEnsembleInParts> extends Generator<void, infer E> ? E : never;

const IMAGES = 64; // rows predicted at once: their features take a hundred kilobytes each
const FIRST_STEPS = 2048; // steps of random play that are kept
const FIRST = 'reward.first.'; // prefix of their tensors' names

/** Returns of segments under the choice model, by the rewards of their steps: [members][segments]. */
function returnsOf(
  segments: readonly Segment[],
  rewards: readonly ArrayLike<number>[],
  discount: number,
): Float64Array[] {
  return rewards.map((member) => {
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

/** Brings the members' rewards to one scale, by recent experience. `predict`: rewards by each member, as they come. */
function createScaling(
  spaces: RewardSpaces,
  options: RewardOptions,
  predict: (steps: StepRows) => Promise<readonly Float32Array[]>,
) {
  const { members, bonus, bonusDecay } = options;
  const most = spaces.shape === undefined ? FIRST_STEPS : IMAGES;
  /** By member: the number subtracted from its rewards, and the one they are divided by. */
  const shift = new Float64Array(members);
  const divisor = new Float64Array(members).fill(1);
  const endsPaid = new Array<boolean>(members).fill(false);

  /** With `zero-at-first`: the steps whose mean reward is 0. */
  let first: ReturnType<typeof unpackSteps>;

  return {
    async reward(steps: StepRows, out: Float32Array, step: number): Promise<void> {
      const each = await predict(steps);
      normalizedMean(each, { shift, divisor, bonus: bonus * (1 - bonusDecay) ** step }, out);
    },
    async normalize(experience: Experience, discount: number): Promise<void> {
      if (options.normalize === 'zero-at-first')
        first ??= unpackSteps(FIRST, packSteps(FIRST, stepsOf(experience, spaces, most)));
      const firsts = first && (await predict(first));
      for (const [m, rewards] of (await predict(stepsOf(experience, spaces))).entries()) {
        if (turnIsDue()) await breathe();
        const known = { first: firsts?.[m], endsPaid: endsPaid[m] };
        const found = normalization(rewards, known, experience, discount, options);
        [shift[m], divisor[m], endsPaid[m]] = [found.shift, found.divisor, found.endsPay];
      }
    },
    removesLivingReward: () => options.livingReward === 'remove' || endsPaid.some(Boolean),
    state: () => ({ shift: [...shift], divisor: [...divisor], endsPaid: [...endsPaid] }),
    firstSteps: () => first && packSteps(FIRST, first),
    adopt(state: Pick<RewardState, 'shift' | 'divisor' | 'endsPaid'>) {
      shift.set(state.shift);
      divisor.set(state.divisor);
      for (const [m, paid] of state.endsPaid.entries()) endsPaid[m] = paid;
    },
    setFirstSteps(tensors: FitTensors) {
      first = unpackSteps(FIRST, tensors);
    },
  };
}

/**
 * Creates an ensemble with fresh weights. `rows`: steps whose reward is predicted at once; `window`: the length of the
 * longest segment.
 */
export const createRewardEnsemble = (...from: EnsembleSettings): RewardEnsemble =>
  atOnce(createRewardEnsembleInParts(...from));

/** The same in parts: none of them compiles more than one program. */
export function* createRewardEnsembleInParts(
  spaces: RewardSpaces,
  options: RewardOptions,
  choiceModel: ChoiceModel,
  settings: { window: number; rows: number; seed: number },
) {
  const { members } = options;
  const { window, seed } = settings;
  const model = createRewardNetworks(spaces, options);
  const { inputs } = model;
  const parameters = createParameters(model.parameters, random(seed, 'reward', 'parameters'));
  const rows = spaces.shape === undefined ? settings.rows : Math.min(IMAGES, settings.rows);
  yield;
  const predictor = createPredictor(model, parameters, rows);
  const { predict } = predictor;
  const scaling = createScaling(spaces, options, predictor.predictFreely);

  const { discount } = choiceModel;
  const segmentReturns = (segments: readonly Segment[]) =>
    returnsOf(segments, predict(joinSegments(segments)), discount);
  const meanOf = (each: readonly Float64Array[], count: number) =>
    Float64Array.from({ length: count }, (_, i) => each.reduce((total, member) => total + member[i], 0) / members);
  const meanReturns = (segments: readonly Segment[]) => meanOf(segmentReturns(segments), segments.length);

  yield;
  const fitting = createRewardFit({ ...model, parameters, meanReturns }, options, choiceModel, { window, seed });

  /** Takes over another ensemble's state after a fit; the steps whose mean reward is 0 stay. */
  function adopt(state: RewardState, tensors: FitTensors): void {
    importParameters(parameters, tensors);
    fitting.restore(state, tensors);
    scaling.adopt(state);
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
    /**
     * Rewards of a rollout for the policy: each member normalized, then averaged, plus the bonus for disagreement as it
     * has decayed by environment step `step`.
     */
    reward: scaling.reward,
    /** Computes each member's normalization from recent experience. */
    normalize: scaling.normalize,
    /** Whether a living reward is removed. As it is what the policy earns now, every update needs a normalization. */
    removesLivingReward: scaling.removesLivingReward,
    /** Mean returns of segments over the members. */
    meanReturns,
    /** The same, without blocking the event loop for long. */
    async meanReturnsFreely(segments: readonly Segment[]): Promise<Float64Array> {
      const rewards = await predictor.predictFreely(joinSegments(segments));
      return meanOf(returnsOf(segments, rewards, discount), segments.length);
    },
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
        state: { ...state, ...scaling.state(), scale: inputs.scale },
        tensors: { ...exportParameters(parameters), ...tensors, ...scaling.firstSteps() },
      };
    },
    /** Takes over the networks of a fit in another thread. */
    adopt,
    /** Restores what `save` returned. */
    restore(state: RewardState, tensors: FitTensors) {
      adopt(state, tensors);
      scaling.setFirstSteps(tensors);
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
