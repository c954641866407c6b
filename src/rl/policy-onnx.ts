/** A policy as an ONNX graph, which ONNX Runtime runs in any language. The graph normalizes observations. */

import { constant, createGraph, input, type Tensor } from '../engine/graph.ts';
import { clip, maximum, minimum, mul, sub } from '../engine/ops/elementwise.ts';
import { argmax } from '../engine/ops/reduce.ts';
import { encodeWithWeights } from '../engine/program.ts';
import { sizeOf } from '../env/environment.ts';
import { LIMIT } from './normalize.ts';
import { describePolicy, GRAPH_EPSILON } from './policy-description.ts';
import { actorOf, type PolicySnapshot } from './policy-snapshot.ts';

/**
 * The bytes of `policy.onnx`. Its input is `observation` [batch, o], float32. Its output is `action`: for discrete
 * actions [batch], int64, with `log_probabilities` [batch, n]; otherwise [batch, a], float32, within the bounds. The
 * action is the likeliest one. A recurrent policy also takes `memory` [batch, size], 0 when an episode begins, and gives
 * `next_memory` for its next step. The metadata `policy` is its `PolicyDescription` as JSON.
 */
export function policyOnnx(snapshot: PolicySnapshot): Uint8Array {
  const { network, parameters } = actorOf(snapshot);
  const { observationSpace, actionSpace, statistics } = snapshot;
  const observation = input(createGraph(), 'observation', ['batch', sizeOf(observationSpace)]);
  const seen = statistics ? normalized(observation, statistics, { epsilon: GRAPH_EPSILON, limit: LIMIT }) : observation;
  const memory = network.memory && input(observation.graph, 'memory', ['batch', network.memory.size]);
  const next = memory && network.memory!.step(seen, memory);
  const distribution = network.distribution(next ? network.memory!.read(seen, next) : seen);
  try {
    const outputs: Record<string, Tensor> =
      actionSpace.kind === 'discrete'
        ? { action: argmax(distribution), log_probabilities: distribution }
        : { action: withinBounds(distribution, actionSpace) };
    if (next) outputs.next_memory = next;
    const metadata = { policy: JSON.stringify(describePolicy(snapshot)) };
    return encodeWithWeights(outputs, parameters.values, 'policy.onnx.data', metadata).model;
  } finally {
    parameters[Symbol.dispose]();
  }
}

/** x [n, k] by mean and variance of each number: (x − mean)/√(variance + ε), clipped to ±limit. */
export function normalized(
  x: Tensor,
  { mean, variance }: { mean?: readonly number[]; variance: readonly number[] },
  { epsilon, limit }: { epsilon: number; limit: number },
): Tensor {
  const row = (values: readonly number[]) => constant(x.graph, values, [1, values.length]);
  const deviation = row(variance.map((v) => 1 / Math.sqrt(v + epsilon)));
  if (!mean) return clip(mul(x, deviation), -limit, limit);
  // a mean is not exact in float32: the remainder matters if the deviation is small
  const coarse = mean.map(Math.fround);
  const rest = mean.map((m, j) => m - coarse[j]);
  return clip(mul(sub(sub(x, row(coarse)), row(rest)), deviation), -limit, limit);
}

/** x [n, k] limited to the bounds of each number, which may be infinite. */
export function withinBounds(x: Tensor, { low, high }: { low: Float32Array; high: Float32Array }): Tensor {
  const row = (values: Float32Array) => constant(x.graph, values, [1, values.length]);
  return minimum(maximum(x, row(low)), row(high));
}
