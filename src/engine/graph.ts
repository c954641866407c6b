/**
 * The traced graph. An op is a function that appends a node and returns the tensor it makes; the node keeps the op's
 * gradient beside it. Nothing is computed here: `compile` (program.ts) turns a graph into a program that runs.
 */
import { HeedError } from '../error.ts';
import { type Dim, formatShape, type Shape, sameShape, substitute, termsOf } from './dims.ts';
import type { Precision } from './dtype.ts';
import { misfit } from './dtype.ts';
import type { Attribute, DType, GraphNode, Initializer } from './onnx.ts';

/** A traced tensor: a place in a graph, with a shape and no numbers. */
export interface Tensor {
  /** The graph it belongs to. */
  readonly graph: Graph;
  /** Its name in the graph: an input's own, or one that starts with %. */
  readonly name: string;
  /** The type of its elements. */
  readonly dtype: DType;
  /** Its dimensions: sizes and symbols. */
  readonly shape: Shape;
}

/**
 * The gradient of one node: from the cotangents of its outputs (undefined where nothing depends on one) to the
 * cotangents of its inputs (undefined where there is none).
 */
type Vjp = (cotangents: (Tensor | undefined)[]) => (Tensor | undefined)[];

/** A node of a traced graph, with its gradient. */
export interface TracedNode extends GraphNode {
  /** The tensors that the gradient flows to. */
  readonly inputTensors: (Tensor | undefined)[];
  /** The tensors that it makes. */
  readonly outputTensors: Tensor[];
  /** Its gradient; undefined for an op without one. */
  readonly vjp: Vjp | undefined;
}

/** A graph while it is traced: plain data that ops append to. */
export interface Graph {
  /** The nodes in the order in which they were traced, which is topological. */
  readonly nodes: TracedNode[];
  /** The declared inputs. */
  readonly inputs: Tensor[];
  /** The constants, with their numbers. */
  readonly constants: Initializer[];
  /** The node that makes each tensor, by the tensor's name. */
  readonly producer: Map<string, TracedNode>;
  /** Traced tensors by op and inputs, so that the same op on the same inputs is one node. */
  readonly memo: Map<string, Tensor[]>;
  /** How many nodes there were when gradients were first traced: the forward pass. */
  forward: number;
  /** Sizes of symbols while tracing: such a symbol is replaced by its size wherever it occurs. */
  readonly sizes: Readonly<Record<string, number>>;
  /** What matrix products read: float32, or copies as bfloat16 where that is faster (see ops/bf16.ts). */
  readonly precision: Precision;
  /** Number of names made so far. */
  count: number;
}

/** An empty graph. */
export const createGraph = (sizes: Graph['sizes'] = {}, precision: Precision = 'fp32'): Graph => ({
  nodes: [],
  inputs: [],
  constants: [],
  producer: new Map(),
  memo: new Map(),
  forward: Number.POSITIVE_INFINITY,
  sizes,
  precision,
  count: 0,
});

/** A caller's shape in canonical form, its symbols replaced by their sizes. */
export const resolve = ({ sizes }: Graph, shape: Shape): Shape => shape.map((dim) => substitute(dim, sizes));

/** "policy.0.weight float32[64, 4]": how errors name a tensor. */
export const describe = (t: Tensor): string => `${t.name} ${t.dtype}${formatShape(t.shape)}`;

/**
 * Declares an input: a tensor that the program reads at each run. Dimensions may be symbols:
 * `input(g, 'x', ['batch', 4])`. The same declaration twice is one input.
 *
 * @throws HeedError where the name is declared with another shape or dtype, or starts with %.
 */
export function input(graph: Graph, name: string, shape: Shape, dtype: DType = 'float32'): Tensor {
  const declared = graph.inputs.find((t) => t.name === name);
  const tensor: Tensor = { graph, name, dtype, shape: resolve(graph, shape) };
  if (declared) {
    if (declared.dtype === dtype && sameShape(declared.shape, tensor.shape)) return declared;
    throw new HeedError(`input "${name}" is declared twice: ${describe(declared)} and ${describe(tensor)}`);
  }
  if (/^%/.test(name)) throw new HeedError(`input "${name}" starts with %, which is reserved for traced tensors`);
  graph.inputs.push(tensor);
  return tensor;
}

const arrayOf = {
  float32: Float32Array,
  int32: Int32Array,
  uint32: Uint32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
};

/**
 * A tensor whose numbers are part of the program. float16 is written as its 16 bits.
 *
 * @throws HeedError where the numbers do not fill the shape, or the dtype cannot hold one.
 */
export function constant(graph: Graph, values: ArrayLike<number>, shape: readonly number[], dtype: DType = 'float32') {
  const size = shape.reduce((a, b) => a * b, 1);
  if (values.length !== size) {
    throw new HeedError(`a constant of shape ${formatShape(shape)} needs ${size} values, got ${values.length}`);
  }
  const wrong = misfit(dtype, values);
  if (wrong !== undefined) {
    throw new HeedError(`a constant ${dtype}${formatShape(shape)} cannot hold ${wrong}`, {
      hint: 'cast() the tensor it goes with to float32, or use whole numbers within the range',
    });
  }
  const key =
    size <= 64 ? `constant ${dtype} ${shape} ${Array.from(values, (v) => (Object.is(v, -0) ? '-0' : v))}` : '';
  const traced = key && graph.memo.get(key);
  if (traced) return traced[0];
  const data = dtype === 'int64' ? BigInt64Array.from(Array.from(values, BigInt)) : new arrayOf[dtype](values);
  const tensor: Tensor = { graph, name: `%constant_${graph.count++}`, dtype, shape: [...shape] };
  graph.constants.push({ name: tensor.name, dtype, shape: [...shape], data });
  if (key) graph.memo.set(key, [tensor]);
  return tensor;
}

/** A scalar constant of the same dtype as `like`. */
export function scalar({ graph, dtype }: Tensor, value: number): Tensor {
  if (dtype !== 'float16') return constant(graph, [value], [], dtype);
  return emit('Cast', [constant(graph, [value], [])], [], { attributes: { to: 10 }, dtype });
}

const KINDS: Record<'float' | 'number' | 'bool', readonly DType[]> = {
  float: ['float32', 'float16'],
  number: ['float32', 'float16', 'int32', 'int64', 'uint8', 'uint32'],
  bool: ['bool'],
};

/** Checks an op's tensors. @throws HeedError if one is not of the op's kind, or its dtype differs from the first's. */
export function checkDtypes(op: string, kind: keyof typeof KINDS, ...tensors: (Tensor | undefined)[]): void {
  for (const t of tensors) {
    if (t && !KINDS[kind].includes(t.dtype)) {
      throw new HeedError(`${op}: takes a ${kind}, got ${describe(t)}`, { hint: 'cast() it' });
    }
    if (t && t.dtype !== tensors[0]!.dtype) {
      throw new HeedError(`${op}: dtypes differ: ${describe(tensors[0]!)} and ${describe(t)}`, {
        hint: 'cast() one of them',
      });
    }
  }
}

interface Emission {
  attributes?: Record<string, Attribute>;
  domain?: string;
  dtype?: DType;
  vjp?: Vjp;
}

/** Appends a node with one output, and returns it. `vjp` gets the output's cotangent alone. */
export function emit(
  op: string,
  inputs: (Tensor | undefined)[],
  shape: Shape,
  options: Omit<Emission, 'vjp'> & { vjp?: (cotangent: Tensor) => (Tensor | undefined)[] } = {},
): Tensor {
  const { vjp } = options;
  return emitMany(op, inputs, [{ shape, dtype: options.dtype }], { ...options, vjp: vjp && (([dy]) => vjp(dy!)) })[0];
}

/** Appends a node with several outputs, and returns them. */
export function emitMany(
  op: string,
  inputs: (Tensor | undefined)[],
  outputs: { shape: Shape; dtype?: DType }[],
  { attributes = {}, domain = '', vjp }: Emission = {},
): Tensor[] {
  const first = inputs.find((t) => t !== undefined)!;
  const { graph } = first;
  for (const t of inputs) {
    if (t && t.graph !== graph) throw new HeedError(`${op}: ${describe(t)} and ${describe(first)} are of two graphs`);
  }
  const key = `${domain}:${op} ${inputs.map((t) => t?.name ?? '')} ${JSON.stringify(attributes)} ${outputs.length}`;
  const traced = graph.memo.get(key);
  if (traced) return traced;
  const outputTensors = outputs.map(({ shape, dtype }) => ({
    graph,
    name: `%${op.toLowerCase()}_${graph.count++}`,
    dtype: dtype ?? first.dtype,
    shape,
  }));
  const node: TracedNode = {
    op,
    domain,
    attributes,
    inputs: inputs.map((t) => t?.name ?? ''),
    outputs: outputTensors.map((t) => t.name),
    inputTensors: inputs,
    outputTensors,
    vjp,
  };
  graph.nodes.push(node);
  for (const t of outputTensors) graph.producer.set(t.name, node);
  graph.memo.set(key, outputTensors);
  return outputTensors;
}

/**
 * `output`, computed from `inputs`, with its own gradient instead of that of the ops between them: where those would
 * make more passes than necessary, or keep more in memory. `vjp` maps the cotangent of `output` to those of `inputs`.
 */
export function withGradient(
  inputs: readonly Tensor[],
  output: Tensor,
  vjp: (cotangent: Tensor) => (Tensor | undefined)[],
): Tensor {
  const { graph, dtype, shape } = output;
  const tensor: Tensor = { graph, name: `%identity_${graph.count++}`, dtype, shape };
  const node: TracedNode = {
    op: 'Identity',
    domain: '',
    attributes: {},
    inputs: [output.name],
    outputs: [tensor.name],
    inputTensors: [...inputs],
    outputTensors: [tensor],
    vjp: ([dy]) => vjp(dy!),
  };
  graph.nodes.push(node);
  graph.producer.set(tensor.name, node);
  return tensor;
}

/** An int64 vector of `dims`. Symbols are read from the shapes of the graph's inputs at run time. */
export function shapeTensor(graph: Graph, dims: Shape): Tensor {
  if (dims.every((d) => typeof d === 'number')) return constant(graph, dims, [dims.length], 'int64');
  const parts = dims.map((dim) => dimTensor(graph, dim));
  return parts.length === 1
    ? parts[0]
    : emit('Concat', parts, [dims.length], { attributes: { axis: 0 }, dtype: 'int64' });
}

function dimTensor(graph: Graph, dim: Dim): Tensor {
  if (typeof dim === 'number') return constant(graph, [dim], [1], 'int64');
  const terms = termsOf(dim).map(([symbols, coefficient]) => {
    const factors = symbols.map((symbol) => symbolTensor(graph, symbol));
    if (coefficient !== 1 || factors.length === 0) factors.push(constant(graph, [coefficient], [1], 'int64'));
    return factors.reduce((a, b) => emit('Mul', [a, b], [1]));
  });
  return terms.reduce((a, b) => emit('Add', [a, b], [1]));
}

function symbolTensor(graph: Graph, symbol: string): Tensor {
  for (const source of graph.inputs) {
    const axis = source.shape.indexOf(symbol);
    if (axis < 0) continue;
    return emit('Shape', [source], [1], { attributes: { start: axis, end: axis + 1 }, dtype: 'int64' });
  }
  throw new HeedError(`no input has the dimension "${symbol}"`, { hint: 'a symbol must be a dimension of an input' });
}
