/** Experience replay (Lin 1992): a ring of transitions to learn from repeatedly; the oldest are overwritten. */
import { HeedError } from '../error.ts';
import type { Rollout } from './rollout.ts';

/** The fill state of a buffer. */
export interface ReplayState {
  /** Number of transitions held. */
  length: number;
  /** Row of the next transition. */
  next: number;
}
type Tensors = Record<string, { dtype: 'F32'; shape: number[]; data: Float32Array }>;

/** Transitions by row, in arrays of [capacity, …]; rows from `length` on are not yet filled. */
export interface ReplayBuffer extends Readonly<ReplayState> {
  /** Transitions that the buffer holds at most. */
  readonly capacity: number;
  /** [capacity, o] */
  readonly observations: Float32Array;
  /** [capacity, a], as they were passed to the environment. */
  readonly actions: Float32Array;
  /** [capacity]; overwrite them to learn from another reward. */
  readonly rewards: Float32Array;
  /** [capacity, o]: the observation that the step led to, before any reset. */
  readonly nextObservations: Float32Array;
  /** [capacity]: 1 where the task ended, 0 where a time limit cut it. */
  readonly terminated: Float32Array;
  /** Appends a rollout's transitions; the oldest make room. */
  add(rollout: Rollout): void;
  /** The buffer as plain data and tensors, for a checkpoint. */
  save(): { state: ReplayState; tensors: Tensors };
  /** Takes over what `save` returned. @throws HeedError if the sizes differ. */
  restore(state: ReplayState, tensors: Readonly<Record<string, { data: ArrayLike<number> | ArrayLike<bigint> }>>): void;
}

const PREFIX = 'replay.';

/** An empty buffer of `capacity` transitions; the oldest makes room for the newest. */
export function createReplayBuffer(capacity: number, observationSize: number, actionSize: number): ReplayBuffer {
  const columns = {
    observations: new Float32Array(capacity * observationSize),
    actions: new Float32Array(capacity * actionSize),
    rewards: new Float32Array(capacity),
    nextObservations: new Float32Array(capacity * observationSize),
    terminated: new Float32Array(capacity),
  };
  const names = Object.keys(columns) as (keyof typeof columns)[];
  const widthOf = (name: (typeof names)[number]) => columns[name].length / capacity;
  let length = 0;
  let next = 0;
  return {
    capacity,
    ...columns,
    get length() {
      return length;
    },
    get next() {
      return next;
    },
    add(rollout) {
      const count = rollout.rewards.length;
      for (let from = 0; from < count; ) {
        const rows = Math.min(count - from, capacity - next);
        for (const name of names) {
          const width = widthOf(name);
          columns[name].set(rollout[name].subarray(from * width, (from + rows) * width), next * width);
        }
        from += rows;
        next = (next + rows) % capacity;
        length = Math.min(capacity, length + rows);
      }
    },
    save: () => ({
      state: { length, next },
      tensors: Object.fromEntries(
        names.map((name) => {
          const width = widthOf(name);
          const data = columns[name].subarray(0, length * width);
          return [PREFIX + name, { dtype: 'F32', shape: [length, width], data }];
        }),
      ),
    }),
    restore(state, tensors) {
      for (const name of names) {
        const saved = tensors[PREFIX + name]?.data;
        if (state.length > capacity || saved?.length !== state.length * widthOf(name)) {
          throw new HeedError(`the checkpoint's ${PREFIX}${name} does not fit a buffer of ${capacity} transitions`, {
            hint: 'it was saved with other settings, or for another environment',
          });
        }
      }
      for (const name of names) columns[name].set(tensors[PREFIX + name].data as Float32Array);
      ({ length, next } = state);
    },
  };
}
