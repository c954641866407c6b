/** The reward model's input for a step: observation, action and, optionally, what the step changed. */
import { actionWidthOf, type Space } from '../../env/environment.ts';
import { actionRanges, unitRanges } from '../../rl/action-ranges.ts';
import {
  createStatistics,
  restoreStatistics,
  type SavedStatistics,
  saveStatistics,
  updateStatistics,
} from '../../rl/normalize.ts';
import type { Rollout } from '../../rl/rollout.ts';
import { like, type SavedNumbers, type Segment, type SegmentNumbers, tensorOf } from '../segments.ts';
import type { RewardOptions } from './options.ts';

/** Steps side by side; arrays are [n, ...]. */
export interface StepRows {
  observations: SegmentNumbers;
  actions: Float32Array;
  nextObservations: SegmentNumbers;
  /** Whether each step ended the task. */
  terminated: ArrayLike<number>;
}

/** Statistics of all experience, which scale the inputs. */
export interface InputScale {
  /** Mean of the observations, [o]. */
  mean: number[];
  variance: number[];
  /** Variance of what a step changes, [o]. It is far smaller, and rewards for progress depend on it. */
  changeVariance: number[];
}

/** Describes steps as rows of numbers for the reward networks. */
export interface RewardInputs {
  /** Numbers in a step's input. */
  readonly width: number;
  /** Images without actions stay bytes until the network reads them. */
  readonly dtype: 'float32' | 'uint8';
  scale: InputScale;
  /** Writes step `row` of `steps` as row `to` of `out`. */
  write(steps: StepRows, row: number, out: SegmentNumbers, to: number): void;
  /** A segment's steps as inputs, [length, width]. */
  ofSegment(segment: Segment): SegmentNumbers;
  /** A point for a segment: the mean of its steps' inputs, and its length, [width + 1]. */
  pointOf(segment: Segment): Float64Array;
}

/** Observations are clipped beyond this many deviations. */
export const OBSERVATION_LIMIT = 5;
/** Added to the variance of an observation. */
export const EPSILON = 1e-8;
/** Added to the variance of changes, which is far smaller. */
export const CHANGE_EPSILON = 1e-12;

/** Inputs for observations that are numbers. */
export function createRewardInputs(
  observationSize: number,
  actionSpace: Space,
  { change, rescaleActions }: Pick<RewardOptions, 'change' | 'rescaleActions'>,
): RewardInputs {
  const actionWidth = actionWidthOf(actionSpace);
  const writeAction = actionWriter(actionSpace, rescaleActions);
  const width = observationSize + actionWidth + (change ? observationSize + 1 : 0);
  const clip = (z: number) => Math.max(-OBSERVATION_LIMIT, Math.min(OBSERVATION_LIMIT, z));
  const inputs: RewardInputs = {
    width,
    dtype: 'float32',
    scale: {
      mean: new Array<number>(observationSize).fill(0),
      variance: new Array<number>(observationSize).fill(1),
      changeVariance: new Array<number>(observationSize).fill(1),
    },
    write({ observations, actions, nextObservations, terminated }, row, out, to) {
      const { mean, variance, changeVariance } = inputs.scale;
      const o = row * observationSize;
      let k = to * width;
      for (let j = 0; j < observationSize; j++) {
        out[k++] = clip((observations[o + j] - mean[j]) / Math.sqrt(variance[j] + EPSILON));
      }
      writeAction(actions, row, out, k);
      k += actionWidth;
      if (!change) return;
      for (let j = 0; j < observationSize; j++) {
        out[k++] = clip(
          (nextObservations[o + j] - observations[o + j]) / Math.sqrt(changeVariance[j] + CHANGE_EPSILON),
        );
      }
      out[k] = terminated[row];
    },
    ofSegment: (segment) => inputRows(inputs, segment),
    pointOf: (segment) => meanOf(inputs, segment),
  };
  return inputs;
}

/** Writes action `row` from `to` on. */
export type ActionWriter = (actions: Float32Array, row: number, out: SegmentNumbers, to: number) => void;

/** A writer of one-hot discrete actions, or of continuous ones: clipped to their bounds and, with `rescaleActions`, ±1. */
export function actionWriter(space: Space, rescaleActions: boolean): ActionWriter {
  const width = actionWidthOf(space);
  if (space.kind === 'discrete') {
    return (actions, row, out, to) => {
      for (let a = 0; a < width; a++) out[to + a] = actions[row] === a ? 1 : 0;
    };
  }
  const { center, half } = rescaleActions ? actionRanges(space) : unitRanges(width);
  return (actions, row, out, to) => {
    for (let a = 0; a < width; a++) {
      const action = Math.max(space.low[a], Math.min(space.high[a], actions[row * width + a]));
      out[to + a] = (action - center[a]) / half[a];
    }
  };
}

/** `ofSegment` for any inputs of float32. */
export function inputRows({ width, write }: Pick<RewardInputs, 'width' | 'write'>, segment: Segment): Float32Array {
  const out = new Float32Array(segment.length * width);
  const steps = { ...segment, terminated: endsOf(segment) };
  for (let t = 0; t < segment.length; t++) write(steps, t, out, t);
  return out;
}

/** `pointOf` for any inputs. */
export function meanOf(
  { width, ofSegment }: Pick<RewardInputs, 'width' | 'ofSegment'>,
  segment: Segment,
): Float64Array {
  const point = new Float64Array(width + 1);
  const rows = ofSegment(segment);
  for (let i = 0; i < rows.length; i++) point[i % width] += rows[i] / segment.length;
  point[width] = segment.length;
  return point;
}

/** Gathers the statistics that scale the inputs, over all experience; none if observations are images (`shape`). */
export function createInputStatistics(observationSize: number, shape?: readonly number[]) {
  const o = shape ? 0 : observationSize;
  const statistics = createStatistics(2 * o); // of observations and of changes, one after the other
  return {
    add({ observations, nextObservations }: Pick<Rollout, 'observations' | 'nextObservations'>): void {
      if (o === 0) return;
      const described = new Float32Array(2 * observations.length);
      for (let i = 0; i * o < observations.length; i++) {
        for (let j = 0; j < o; j++) {
          described[i * 2 * o + j] = observations[i * o + j];
          described[i * 2 * o + o + j] = nextObservations[i * o + j] - observations[i * o + j];
        }
      }
      updateStatistics(statistics, described);
    },
    scale: (): InputScale => ({
      mean: [...statistics.mean.subarray(0, o)],
      variance: [...statistics.variance.subarray(0, o)],
      changeVariance: [...statistics.variance.subarray(o)],
    }),
    save: () => saveStatistics(statistics),
    restore: (saved: SavedStatistics) => restoreStatistics(statistics, saved),
  };
}

/** 1 at the step that ended the task, 0 elsewhere. */
function endsOf({ length, terminated }: Segment): Uint8Array {
  const ends = new Uint8Array(length);
  ends[length - 1] = Number(terminated);
  return ends;
}

/** The steps of segments, one after another. */
export function joinSegments(segments: readonly Segment[]): StepRows {
  const total = segments.reduce((n, { length }) => n + length, 0);
  const width = (key: 'observations' | 'actions' | 'nextObservations') =>
    segments.length ? segments[0][key].length / segments[0].length : 0;
  const observations = like(segments[0]?.observations, total * width('observations'));
  const nextObservations = like(segments[0]?.nextObservations, total * width('nextObservations'));
  const actions = new Float32Array(total * width('actions'));
  const terminated = new Uint8Array(total);
  let at = 0;
  for (const segment of segments) {
    observations.set(segment.observations, at * width('observations'));
    nextObservations.set(segment.nextObservations, at * width('nextObservations'));
    actions.set(segment.actions, at * width('actions'));
    at += segment.length;
    terminated[at - 1] = Number(segment.terminated);
  }
  return { observations, nextObservations, actions, terminated };
}

const arrays = ['observations', 'actions', 'nextObservations', 'terminated'] as const;
type StepArrays = StepRows & { terminated: Uint8Array };

/** A copy of steps, as tensors of a checkpoint. */
export const packSteps = (prefix: string, steps: StepArrays): Record<string, SavedNumbers> =>
  Object.fromEntries(arrays.map((name) => [prefix + name, tensorOf(steps[name].slice(), [steps[name].length])]));

/** The inverse of `packSteps`; undefined if the tensors hold no steps. */
export const unpackSteps = (prefix: string, tensors: Readonly<Record<string, { data: unknown }>>) =>
  prefix + arrays[0] in tensors
    ? (Object.fromEntries(arrays.map((name) => [name, tensors[prefix + name].data])) as unknown as StepArrays)
    : undefined;
