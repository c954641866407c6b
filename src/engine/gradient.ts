/** Reverse-mode differentiation of a traced graph. */
import { HeedError } from '../error.ts';
import { sameShape } from './dims.ts';
import { constant, describe, type Graph, type Tensor, type TracedNode, withGradient } from './graph.ts';
import { add } from './ops/elementwise.ts';

/**
 * d loss / d each of `wrt`, traced into the same graph, each with its tensor's shape. Nodes that none of `wrt` reaches
 * are left out, so a frozen weight costs nothing. No gradient goes through the nodes of `stop`.
 *
 * @throws HeedError where the loss is not a float32 scalar, does not depend on one of `wrt`, or passes through an op
 * without a gradient.
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[], stop: ReadonlySet<TracedNode> = new Set()): Tensor[] {
  if (loss.shape.length !== 0 || loss.dtype !== 'float32') {
    throw new HeedError(`a loss must be a float32 scalar, got ${describe(loss)}`, {
      hint: 'reduce it with mean() or sum()',
    });
  }
  loss.graph.forward = Math.min(loss.graph.forward, loss.graph.nodes.length);
  const nodes = loss.graph.nodes.filter((node) => !stop.has(node));
  return pullBack(nodes, loss, constant(loss.graph, [1], []), wrt).map((gradient, i) => {
    if (!gradient) {
      throw new HeedError(`the loss does not depend on ${describe(wrt[i])}`, { hint: 'leave it out, or use it' });
    }
    return gradient;
  });
}

/** The cotangents of `wrt` through `nodes`, from that of `output`; undefined where `output` does not depend on one. */
function pullBack(
  nodes: readonly TracedNode[],
  output: Tensor,
  cotangent: Tensor,
  wrt: readonly Tensor[],
): (Tensor | undefined)[] {
  // The nodes on a path from wrt to the loss, in the order they were traced (which is topological).
  const reached = new Set(wrt.map((t) => t.name));
  const onPath: TracedNode[] = [];
  for (const node of nodes) {
    if (!node.inputTensors.some((t) => t && reached.has(t.name))) continue;
    // Whole numbers and booleans carry no gradient: what depends on them (a shape, a comparison) is not on the path.
    for (const t of node.outputTensors) if (isFloat(t.dtype)) reached.add(t.name);
    onPath.push(node);
  }

  // Parts are added once all are there: ONNX Runtime walks to the later of two nodes first, so an earlier sum would
  // wait for the next part, and all parts of a weight would be in memory at once.
  const parts = new Map<string, Tensor[]>([[output.name, [cotangent]]]);
  const cotangentOf = (name: string): Tensor | undefined => {
    const found = parts.get(name);
    if (!found) return undefined;
    const total = found.reduce(add);
    parts.set(name, [total]);
    return total;
  };
  for (const node of onPath.reverse()) {
    const dys = node.outputs.map(cotangentOf);
    if (dys.every((dy) => dy === undefined)) continue;
    if (!node.vjp) {
      if (node.op === 'Identity') continue; // stopGradient
      throw new HeedError(`${node.op} (${node.outputs[0]}) has no gradient`, {
        hint: 'take stopGradient() of its result where none should flow',
      });
    }
    const dxs = node.vjp(dys);
    node.inputTensors.forEach((x, i) => {
      const dx = dxs[i];
      if (!x || !dx || !reached.has(x.name)) return;
      if (!sameShape(dx.shape, x.shape)) {
        throw new HeedError(`internal: the gradient of ${node.op} is ${describe(dx)} for ${describe(x)}`);
      }
      parts.set(x.name, [...(parts.get(x.name) ?? []), dx]);
    });
  }
  return wrt.map((t) => cotangentOf(t.name));
}

/**
 * The result of `build`, whose intermediate tensors are recomputed for the gradient instead of kept (Chen et al. 2016).
 * Less memory for more time.
 */
export function checkpoint(graph: Graph, build: () => Tensor): Tensor {
  const before = graph.nodes.length;
  const output = build();
  const made = new Set(graph.nodes.slice(before).flatMap((node) => node.outputs));
  const read = new Map<string, Tensor>();
  for (const node of graph.nodes.slice(before)) {
    for (const t of node.inputTensors) if (t && !made.has(t.name) && isFloat(t.dtype)) read.set(t.name, t);
  }
  const inputs = [...read.values()];
  return withGradient(inputs, output, (dy) => {
    // trace as if for the first time: without the nodes of the first pass
    const memo = new Map(graph.memo);
    graph.memo.clear();
    const start = graph.nodes.length;
    const again = build();
    const cotangents = pullBack(graph.nodes.slice(start), again, dy, inputs);
    for (const [key, tensors] of memo) graph.memo.set(key, tensors);
    return cotangents;
  });
}

const isFloat = (dtype: Tensor['dtype']) => dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16';
