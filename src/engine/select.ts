/** What a program has of a graph: the nodes that its outputs need, and the order in which they are computed. */
import { HeedError } from '../error.ts';
import { emit, type Graph, type Tensor, type TracedNode } from './graph.ts';

/** The nodes that the outputs need, in order, and the outputs' names in the model. */
export function selectNodes(graph: Graph, outputs: Readonly<Record<string, Tensor>>) {
  const renamed = new Map<string, string>();
  for (const [name, tensor] of Object.entries(outputs)) {
    if (tensor.graph !== graph) throw new HeedError(`output "${name}" is of another graph than the others`);
    if (graph.inputs.some((t) => t.name === name)) {
      throw new HeedError(`output "${name}" has the name of an input`, { hint: 'give it another name' });
    }
    // An input, a constant, or what is an output already needs a node of its own to be an output.
    const fixed = !graph.producer.has(tensor.name) || renamed.has(tensor.name);
    const source = fixed ? emit('Identity', [tensor], tensor.shape, { attributes: { output: name } }) : tensor;
    renamed.set(source.name, name);
  }
  const needed = new Set(renamed.keys());
  const nodes: TracedNode[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    for (const name of node.inputs) needed.add(name);
    const identity = node.op === 'Identity' && 'output' in node.attributes;
    nodes.push(identity ? { ...node, attributes: {} } : node);
  }
  return {
    nodes: scheduled(nodes.reverse(), new Set(graph.nodes.slice(graph.forward))),
    renamed,
    inputs: graph.inputs.filter((t) => needed.has(t.name)),
  };
}

/**
 * The nodes with those that nothing reads, such as the gradients of weights, at the end, the last first. ONNX Runtime
 * walks back from these, from the last of the file to the first, and runs what each needs: so each runs as soon as
 * it can, and what it read is given back. (In traced order all weights' gradients would wait for the last of them.) The
 * first gradient comes before the loss: what both need of a chunk of tokens is given back before the next chunk.
 */
function scheduled(nodes: readonly TracedNode[], backward: ReadonlySet<TracedNode>): TracedNode[] {
  const read = new Set(nodes.flatMap((node) => node.inputs));
  const isLast = (node: TracedNode) => !node.outputs.some((name) => read.has(name));
  const last = nodes.filter(isLast);
  const first = last.findIndex((node) => backward.has(node));
  if (first > 0) last.unshift(...last.splice(first, 1));
  return [...nodes.filter((node) => !isLast(node)), ...last.reverse()];
}
