/** Reverse-mode differentiation of a traced graph. */
import { HeedError } from '../error.ts';
import { sameShape } from './dims.ts';
import { constant, describe, type Tensor, type TracedNode } from './graph.ts';
import { add } from './ops/elementwise.ts';

/**
 * d loss / d each of `wrt`, traced into the same graph, each with its tensor's shape. Nodes that none of `wrt` reaches
 * are left out, so a frozen weight costs nothing; none goes through the nodes of `stop`.
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
  const { graph } = loss;
  // The nodes on a path from wrt to the loss, in the order they were traced (which is topological).
  const reached = new Set(wrt.map((t) => t.name));
  const onPath: TracedNode[] = [];
  for (const node of graph.nodes) {
    if (stop.has(node) || !node.inputTensors.some((t) => t && reached.has(t.name))) continue;
    // Whole numbers and booleans carry no gradient: what hangs on them (a shape, a comparison) is not on the path.
    for (const t of node.outputTensors) if (t.dtype === 'float32' || t.dtype === 'float16') reached.add(t.name);
    onPath.push(node);
  }

  const cotangents = new Map<string, Tensor>([[loss.name, constant(graph, [1], [])]]);
  for (const node of onPath.reverse()) {
    const dys = node.outputs.map((name) => cotangents.get(name));
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
      const known = cotangents.get(x.name);
      cotangents.set(x.name, known ? add(known, dx) : dx);
    });
  }
  return wrt.map((t) => {
    const gradient = cotangents.get(t.name);
    if (!gradient) {
      throw new HeedError(`the loss does not depend on ${describe(t)}`, { hint: 'leave it out, or use it' });
    }
    return gradient;
  });
}
