/**
 * Segments: what comparisons are about. A segment is a window of time: it ends after a given number of steps, or with
 * the episode if that ends first, so a clip that ends in a fall is shorter and earns less. Where every step pays the
 * same, as in CartPole, nothing else could tell two clips apart.
 */
import type { Episode, VectorEnvironment } from '../env/index.ts';
import { HeedError } from '../error.ts';
import type { Random } from '../random.ts';
import type { Rollout } from '../rl/index.ts';

/** Numbers, or the bytes of images. */
export type Numbers = Float32Array | Uint8Array;

/** Steps of one episode, one after another. */
export interface Segment {
  /** Steps; fewer than the window where the episode ended in it. */
  length: number;
  /** [length, o]. */
  observations: Numbers;
  /** [length, a]; a discrete action is its number. */
  actions: Float32Array;
  /** [length, o]: where each step led; empty of images. */
  nextObservations: Numbers;
  /** The environment's own rewards [length]: for synthetic teachers and diagnostics, never for learning. */
  rewards: Float32Array;
  /** Whether the last step ended the task. */
  terminated: boolean;
  /** What a clip is replayed from; absent in a segment read from a checkpoint. */
  episode?: Pick<Episode, 'seed' | 'actions' | 'length'>;
  /** The segment's first step in that episode. */
  from?: number;
}

/** The last steps of every environment, from which segments are cut. */
export interface Experience {
  /** Steps kept of each environment; a multiple of a rollout's horizon. */
  readonly capacity: number;
  readonly count: number;
  /** Steps held of each environment so far, at most `capacity`. */
  readonly held: number;
  /** The row that the oldest held step is in; later ones follow it, round the end. */
  readonly oldest: number;
  /** Arrays are [capacity, count, ...]; `held` rows are valid. */
  readonly observations: Numbers;
  readonly actions: Float32Array;
  /** Empty where observations are images. */
  readonly nextObservations: Numbers;
  readonly rewards: Float32Array;
  readonly terminated: Uint8Array;
  readonly truncated: Uint8Array;
  add(rollout: Rollout): void;
  /** A window that starts at a random place. With `anchor`, one in which the task ends, if there is any. */
  sample(random: Random, window: { steps: number; anchor: boolean }): Segment | undefined;
  save(): { state: ExperienceState; tensors: Record<string, SavedNumbers> };
  restore(state: ExperienceState, tensors: Record<string, { data: unknown }>): void;
}

/** Numbers as a checkpoint has them. */
export interface SavedNumbers {
  dtype: 'F32' | 'U8';
  shape: number[];
  data: Numbers;
}

interface ExperienceState {
  written: number;
  /** Episodes that the held steps belong to, and which step of which each is. */
  episodes: { seed: number; actions: number[] }[];
  places: [episode: number, step: number][];
}

/** `capacity`: steps of each environment, rounded up to whole rollouts. */
export function createExperience(environment: VectorEnvironment, horizon: number, steps: number): Experience {
  const { count, observationSize, actionSize } = environment;
  const capacity = Math.ceil(Math.max(steps / count, horizon) / horizon) * horizon;
  const size = capacity * count;
  const image = environment.observationSpace.shape !== undefined;
  const arrays = {
    observations: image ? new Uint8Array(size * observationSize) : new Float32Array(size * observationSize),
    actions: new Float32Array(size * actionSize),
    nextObservations: image ? new Uint8Array(0) : new Float32Array(size * observationSize),
    rewards: new Float32Array(size),
  };
  const terminated = new Uint8Array(size);
  const truncated = new Uint8Array(size);
  const episodes = new Array<Segment['episode']>(size);
  const episodeSteps = new Int32Array(size);
  let written = 0; // time steps ever added
  /** Where the task ended among the held steps, found when first asked for: in a good policy's hands it is rare. */
  let ends: [t: number, n: number][] | undefined;

  const nextSize = image ? 0 : observationSize;

  const held = () => Math.min(written, capacity);
  /** Place of the t-th oldest held step of an environment. */
  const place = (t: number, n: number) => ((Math.max(0, written - capacity) + t) % capacity) * count + n;

  function endsOf(): [number, number][] {
    const found: [number, number][] = [];
    for (let t = 0; t < held(); t++) for (let n = 0; n < count; n++) if (terminated[place(t, n)]) found.push([t, n]);
    return found;
  }

  function cut(start: number, n: number, steps: number): Segment | undefined {
    let length = 0;
    let ended = false;
    for (; length < steps && !ended; length++) {
      if (start + length >= held()) return undefined; // not lived yet
      const i = place(start + length, n);
      ended = terminated[i] === 1;
      // A time limit is not the task's: nobody saw how it would have gone on.
      if (truncated[i] && length + 1 < steps) return undefined;
    }
    const copy = <A extends Numbers>(from: A, width: number): A => {
      const out = like(from, length * width);
      for (let t = 0; t < length; t++) {
        const i = place(start + t, n) * width;
        out.set(from.subarray(i, i + width), t * width);
      }
      return out;
    };
    const first = place(start, n);
    return {
      length,
      observations: copy(arrays.observations, observationSize),
      actions: copy(arrays.actions, actionSize),
      nextObservations: copy(arrays.nextObservations, nextSize),
      rewards: copy(arrays.rewards, 1),
      terminated: ended,
      // the last step's: after a resumption, the first step's may be a copy that ends at the checkpoint
      episode: episodes[place(start + length - 1, n)],
      from: episodeSteps[first],
    };
  }

  return {
    capacity,
    count,
    get held() {
      return held();
    },
    get oldest() {
      return written <= capacity ? 0 : written % capacity;
    },
    ...arrays,
    terminated,
    truncated,
    add(rollout) {
      ends = undefined;
      for (let t = 0; t < horizon; t++, written++) {
        const to = (written % capacity) * count;
        const rows = (from: Float32Array, into: Numbers, width: number) =>
          into.set(from.subarray(t * count * width, (t + 1) * count * width), to * width);
        rows(rollout.observations, arrays.observations, observationSize);
        rows(rollout.actions, arrays.actions, actionSize);
        rows(rollout.nextObservations, arrays.nextObservations, nextSize);
        rows(rollout.rewards, arrays.rewards, 1);
        terminated.set(rollout.terminated.subarray(t * count, (t + 1) * count), to);
        truncated.set(rollout.truncated.subarray(t * count, (t + 1) * count), to);
        for (let n = 0; n < count; n++) {
          episodes[to + n] = rollout.episodes[t * count + n];
          episodeSteps[to + n] = rollout.episodeSteps[t * count + n];
        }
      }
    },
    sample(random, { steps, anchor }) {
      ends ??= endsOf();
      if (anchor && ends.length === 0) return undefined;
      for (let attempt = 0; attempt < 200; attempt++) {
        let [start, n] = [random.integer(held()), random.integer(count)];
        if (anchor) {
          [start, n] = ends[random.integer(ends.length)];
          // The end lies anywhere in the window, which starts no earlier than its episode.
          start -= Math.min(random.integer(steps), episodeSteps[place(start, n)]);
          if (start < 0) continue;
        }
        const segment = cut(start, n, steps);
        if (segment && (!anchor || segment.terminated)) return segment;
      }
      return undefined;
    },
    save() {
      const known = new Map<Segment['episode'], number>();
      const places: [number, number][] = [];
      for (let i = 0; i < held() * count; i++) {
        const episode = episodes[i];
        if (!known.has(episode)) known.set(episode, known.size);
        places.push([known.get(episode)!, episodeSteps[i]]);
      }
      const wide = (data: Numbers, width: number): SavedNumbers => tensorOf(data, [size, width]);
      return {
        state: {
          written,
          episodes: [...known.keys()].map((episode) => ({
            seed: episode!.seed,
            actions: Array.from(episode!.actions.subarray(0, episode!.length * actionSize)),
          })),
          places,
        },
        tensors: {
          'experience.observations': wide(arrays.observations, observationSize),
          'experience.actions': wide(arrays.actions, actionSize),
          'experience.nextObservations': wide(arrays.nextObservations, nextSize),
          'experience.rewards': wide(arrays.rewards, 1),
          'experience.terminated': wide(Float32Array.from(terminated), 1),
          'experience.truncated': wide(Float32Array.from(truncated), 1),
        },
      };
    },
    restore(state, tensors) {
      const read = (name: string, into: { set(from: ArrayLike<number>): void; length: number }) => {
        const data = tensors[`experience.${name}`]?.data;
        if (!(data instanceof Float32Array || data instanceof Uint8Array) || data.length !== into.length) {
          throw new HeedError(`the checkpoint's experience.${name} does not fit these settings`, {
            hint: 'resume with the settings the run was started with',
          });
        }
        into.set(data);
      };
      for (const [name, into] of Object.entries(arrays)) read(name, into);
      read('terminated', terminated);
      read('truncated', truncated);
      written = state.written;
      ends = undefined;
      const restored = state.episodes.map(({ seed, actions }) => ({
        seed,
        actions: Float32Array.from(actions),
        length: actions.length / actionSize,
      }));
      state.places.forEach(([episode, step], i) => {
        episodes[i] = restored[episode];
        episodeSteps[i] = step;
      });
    },
  };
}

/** Memory for so many numbers of the same kind. */
export const like = <A extends Numbers>(from: A | undefined, length: number): A =>
  (from instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length)) as A;

/** Numbers as a tensor of a checkpoint. */
export const tensorOf = (data: Numbers, shape: number[]): SavedNumbers => ({
  dtype: data instanceof Uint8Array ? 'U8' : 'F32',
  shape,
  data,
});
