/** Whether an output may be written over the input it was computed from. */
import { HeedError } from '../error.ts';
import { describe, type Tensor, type TracedNode } from './graph.ts';
import type { Spec } from './spec.ts';
import type { Value } from './value.ts';

const ELEMENTWISE = new Set(
  `Abs Add And BitShift BitwiseXor Cast Clip Cos Div Equal Erf Exp Floor Gelu Greater GreaterOrEqual Identity IsNaN Less
  LessOrEqual Log Max Min Mul Neg Not Or Pow QuickGelu Reciprocal Relu Sigmoid Sign Sin Softplus Sqrt Sub Tanh
  Where`.split(/\s+/),
);
/** Operators that may write an output over an input, by output and input. They append keys and values to a cache. */
const MADE_FOR_IT: Record<string, [output: number, input: number][]> = {
  GroupQueryAttention: [
    [1, 3],
    [2, 4],
  ],
  ScatterND: [[0, 0]],
};
const REDUCING = new Set(['ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceSum']);

/**
 * Output memory may be an input's only where no element is written before its last read: every node that reads the
 * input must be the one that makes the output or come before it, and from the input to the output there may be
 * elementwise nodes and reductions only. (A product on the way would be right by the graph, but ONNX Runtime fuses it
 * with the elementwise node behind it, and then reads rows that it has already written.)
 *
 * @returns Whether the operator itself writes into the input, or the output takes the input's place.
 * @throws HeedError where the memory may not be shared, saying why.
 */
export function checkInPlace(
  nodes: readonly TracedNode[],
  input: Spec,
  output: Tensor,
  from: Value,
  to: Value,
): 'appended' | 'overwritten' {
  const refuse = (why: string) => {
    throw new HeedError(`output ${describe(output)} may not share the memory of input "${input.name}": ${why}`, {
      hint: 'use separate memory for the output',
    });
  };
  if (from.overlap(to) !== 'all') refuse('the two only overlap');
  const maker = nodes.find((node) => node.outputs.includes(output.name));
  if (maker && isMadeForIt(nodes, maker, input.name, output.name)) return 'appended';
  if (!maker || !ELEMENTWISE.has(maker.op)) refuse('it is not made elementwise');
  const needed = new Set([output.name]);
  const before = new Set<TracedNode>();
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    before.add(node);
    for (const name of node.inputs) needed.add(name);
  }
  const reached = new Set([input.name]);
  for (const node of nodes) {
    if (!node.inputs.some((name) => reached.has(name))) continue;
    if (!before.has(node)) {
      if (node.inputs.includes(input.name)) refuse(`${node.op} may read it after it is written`);
      continue;
    }
    if (!ELEMENTWISE.has(node.op) && !REDUCING.has(node.op)) refuse(`${node.op} lies between the two`);
    for (const name of node.outputs) reached.add(name);
  }
  return 'overwritten';
}

function isMadeForIt(nodes: readonly TracedNode[], maker: TracedNode, input: string, output: string): boolean {
  const match = MADE_FOR_IT[maker.op]?.find(([, at]) => maker.inputs[at] === input);
  const reads = nodes.flatMap((node) => node.inputs.filter((name) => name === input));
  return match !== undefined && maker.outputs[match[0]] === output && reads.length === 1;
}
