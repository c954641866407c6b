/** What a program must know that runs `policy.onnx`: written beside it as `policy.json`, and into it as metadata. */
import { type ActionCoding, sizeOf } from '../env/environment.ts';
import { LIMIT } from './normalize.ts';
import type { PolicySnapshot } from './policy-snapshot.ts';

/** Bounds of each number; null for none. */
interface Bounds {
  low: (number | null)[];
  high: (number | null)[];
}

/** The contents of `policy.json`. */
export interface PolicyDescription {
  format: 'heed policy 1';
  /** The algorithm that trained it. */
  algorithm: string;
  /** The graph's input: [batch, size], float32, raw as the environment gives it. */
  observation: Bounds & {
    input: 'observation';
    size: number;
    /** [channels, height, width] of images, whose numbers are in that order and from 0 to 255. */
    shape?: readonly number[];
    /** How many of the last numbers are the action mask: 1 for each action that is allowed, 0 for the others. */
    mask?: number;
    /** How many of the last observations the numbers before the mask are, the oldest first; absent: one. */
    stack?: number;
    /** What the graph does to each number x first: (x − mean)/√(variance + epsilon), clipped to ±limit. */
    normalization?: { mean: readonly number[]; variance: readonly number[]; epsilon: number; limit: number };
  };
  /** What a recurrent policy remembers: pass 0 when an episode begins, then what the output gave in the step before. */
  memory?: { input: 'memory'; output: 'next_memory'; size: number };
  /** The graph's output: the likeliest action. */
  action:
    | ({ output: 'action'; kind: 'box'; size: number } & Bounds)
    | { output: 'action'; kind: 'discrete'; n: number; coding?: ActionCoding };
}

/** ε of the normalization in `policy.onnx`. */
export const GRAPH_EPSILON = 1e-8;

const bounds = ({ low, high }: { low: Float32Array; high: Float32Array }): Bounds => {
  const finite = (x: number) => (Number.isFinite(x) ? x : null);
  return { low: Array.from(low, finite), high: Array.from(high, finite) };
};

/** Describes a policy for programs that run its graph. */
export function describePolicy({
  algorithm,
  observationSpace,
  actionSpace,
  statistics,
  memory,
}: Pick<
  PolicySnapshot,
  'algorithm' | 'observationSpace' | 'actionSpace' | 'statistics' | 'memory'
>): PolicyDescription {
  const { shape, mask, stack } = observationSpace;
  const size = sizeOf(observationSpace);
  const normalization = statistics && { ...statistics, epsilon: GRAPH_EPSILON, limit: LIMIT };
  return {
    format: 'heed policy 1',
    algorithm,
    observation: {
      input: 'observation',
      size,
      ...(shape && { shape }),
      ...(mask && { mask }),
      ...(stack && { stack }),
      ...bounds(observationSpace),
      ...(normalization && { normalization }),
    },
    ...(memory && { memory: { input: 'memory', output: 'next_memory', size: memory } }),
    action:
      actionSpace.kind === 'discrete'
        ? { output: 'action', ...actionSpace }
        : { output: 'action', kind: 'box', size: sizeOf(actionSpace), ...bounds(actionSpace) },
  };
}
