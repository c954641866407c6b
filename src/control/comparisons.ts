/** The comparisons that were learnt from, packed for a checkpoint: a few long tensors, and what cuts them up again. */
import type { Distribution } from '../preference/index.ts';
import type { Labelled } from './reward-fit.ts';

/** A comparison without the arrays of its segments. */
export interface SavedComparison {
  choice: Distribution;
  lengths: [number, number];
  terminated: [boolean, boolean];
}

const arrays = ['observations', 'actions', 'nextObservations', 'rewards'] as const;

export function packComparisons(comparisons: readonly Labelled[]) {
  const all = comparisons.flatMap(({ segments }) => segments);
  const packed = (key: (typeof arrays)[number]) => {
    const data = new Float32Array(all.reduce((n, s) => n + s[key].length, 0));
    let at = 0;
    for (const s of all) {
      data.set(s[key], at);
      at += s[key].length;
    }
    return { dtype: 'F32' as const, shape: [data.length], data };
  };
  return {
    state: comparisons.map(
      ({ choice, segments: [a, b] }): SavedComparison => ({
        choice,
        lengths: [a.length, b.length],
        terminated: [a.terminated, b.terminated],
      }),
    ),
    tensors: Object.fromEntries(arrays.map((key) => [`comparisons.${key}`, packed(key)])),
  };
}

export function unpackComparisons(
  saved: readonly SavedComparison[],
  tensors: Readonly<Record<string, { data: Float32Array }>>,
  { observationSize, actionSize }: { observationSize: number; actionSize: number },
): Labelled[] {
  const at = { observations: 0, actions: 0, nextObservations: 0, rewards: 0 };
  const take = (key: keyof typeof at, n: number) => {
    at[key] += n;
    return tensors[`comparisons.${key}`].data.slice(at[key] - n, at[key]);
  };
  return saved.map(({ choice, lengths, terminated }) => {
    const segments = lengths.map((length, side) => ({
      length,
      observations: take('observations', length * observationSize),
      actions: take('actions', length * actionSize),
      nextObservations: take('nextObservations', length * observationSize),
      rewards: take('rewards', length),
      terminated: terminated[side],
    }));
    return { choice, segments: segments as never };
  });
}
