/**
 * Comparisons and open queries, packed for a checkpoint: a few long tensors, and the lengths that cut them up again.
 */
import type { CurrentJudgment } from '../../preference/teacher.ts';
import { like, type Segment, type SegmentNumbers, tensorOf } from '../segments.ts';
import type { SegmentQuery } from './queries.ts';

/** Two segments without their arrays. */
interface SavedPair {
  lengths: [number, number];
  terminated: [boolean, boolean];
}

/** A comparison in the record. */
export interface RecordedComparison {
  /** The query's id. */
  id: string;
  segments: readonly [Segment, Segment];
  /** The current judgment: the teacher may have changed it or taken it back. */
  choice: CurrentJudgment;
  /** Set if an earlier run asked for it: it is learned from, and is no label of this run. */
  earlier?: true;
}

/** A comparison without the arrays of its segments. */
export interface SavedComparison extends SavedPair, Pick<RecordedComparison, 'id' | 'choice' | 'earlier'> {}

/** An open query without the arrays of its segments, and the episodes that its clips are replayed from. */
export interface SavedQuery extends SavedPair {
  id: string;
  step: number;
  predicted: number;
  clips: { seed: number; actions: number[]; length: number; from: number }[];
}

type CheckpointTensors = Readonly<Record<string, { data: SegmentNumbers }>>;
interface Sizes {
  observationSize: number;
  actionSize: number;
}

const arrays = ['observations', 'actions', 'nextObservations', 'rewards'] as const;

/** Comparisons as plain data and tensors. */
export function packComparisons(comparisons: readonly RecordedComparison[]) {
  const { state, tensors } = packPairs(
    'comparisons',
    comparisons.map(({ segments }) => segments),
  );
  const saved = state.map((pair, i): SavedComparison => {
    const { id, choice, earlier } = comparisons[i];
    return { id, choice, ...(earlier && { earlier }), ...pair };
  });
  return { state: saved, tensors };
}

/** The inverse of `packComparisons`. */
export function unpackComparisons(
  saved: readonly SavedComparison[],
  tensors: CheckpointTensors,
  sizes: Sizes,
): RecordedComparison[] {
  const pairs = unpackPairs('comparisons', saved, tensors, sizes);
  return saved.map(({ id, choice, earlier }, i) => ({
    id,
    choice,
    ...(earlier && { earlier }),
    segments: pairs[i],
  }));
}

/** Open queries as plain data and tensors. */
export function packQueries(queries: readonly SegmentQuery[], { actionSize }: Pick<Sizes, 'actionSize'>) {
  const { state, tensors } = packPairs(
    'waiting',
    queries.map(({ segments }) => segments),
  );
  const saved = queries.map(({ id, step, predicted, segments }, i): SavedQuery => {
    const clips = segments.map(({ episode, from, length }) => ({
      seed: episode!.seed,
      actions: Array.from(episode!.actions.subarray(0, (from! + length) * actionSize)),
      length: from! + length,
      from: from!,
    }));
    return { id, step, predicted, clips, ...state[i] };
  });
  return { state: saved, tensors };
}

/** The inverse of `packQueries`. */
export function unpackQueries(saved: readonly SavedQuery[], tensors: CheckpointTensors, sizes: Sizes): SegmentQuery[] {
  const pairs = unpackPairs('waiting', saved, tensors, sizes);
  return saved.map(({ id, step, predicted, clips }, i) => {
    const segments = pairs[i].map((segment, side) => {
      const { from, ...episode } = clips[side];
      return { ...segment, from, episode: { ...episode, actions: Float32Array.from(episode.actions) } };
    });
    return { id, step, predicted, segments: segments as never };
  });
}

function packPairs(name: string, pairs: readonly (readonly [Segment, Segment])[]) {
  const all = pairs.flat();
  const packed = (key: (typeof arrays)[number]) => {
    const data = like<SegmentNumbers>(
      all[0]?.[key],
      all.reduce((n, s) => n + s[key].length, 0),
    );
    let at = 0;
    for (const s of all) {
      data.set(s[key], at);
      at += s[key].length;
    }
    return tensorOf(data, [data.length]);
  };
  return {
    state: pairs.map(
      ([a, b]): SavedPair => ({ lengths: [a.length, b.length], terminated: [a.terminated, b.terminated] }),
    ),
    tensors: Object.fromEntries(arrays.map((key) => [`${name}.${key}`, packed(key)])),
  };
}

function unpackPairs(
  name: string,
  saved: readonly SavedPair[],
  tensors: CheckpointTensors,
  { observationSize, actionSize }: Sizes,
): [Segment, Segment][] {
  const at = { observations: 0, actions: 0, nextObservations: 0, rewards: 0 };
  const take = (key: keyof typeof at, n: number) => {
    at[key] += n;
    return tensors[`${name}.${key}`].data.slice(at[key] - n, at[key]);
  };
  return saved.map(
    ({ lengths, terminated }) =>
      lengths.map((length, side) => ({
        length,
        observations: take('observations', length * observationSize),
        actions: take('actions', length * actionSize),
        nextObservations: take('nextObservations', length * observationSize),
        rewards: take('rewards', length),
        terminated: terminated[side],
      })) as [Segment, Segment],
  );
}
