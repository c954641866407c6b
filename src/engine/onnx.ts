/**
 * Writes a graph of plain data as an ONNX model: the bytes that ONNX Runtime loads.
 *
 * IR version 9; operators of `ai.onnx` opset 18 and `com.microsoft` 1. ONNX Runtime checks that operators and shapes
 * fit together when it loads the model.
 */
import { HeedError } from '../error.ts';
import { bytes, float, message, one, repeated, signed, text, unpacked } from '../protobuf.ts';

/** The types of elements that tensors may have. */
export type DType = 'float32' | 'int64' | 'int32' | 'bool' | 'uint8' | 'uint32' | 'float16' | 'bfloat16';

/** A number is an integer; a real number is wrapped, since JavaScript cannot tell 1 from 1.0 and ONNX does. */
export type Attribute = number | { float: number } | string | number[] | { floats: number[] };

/** A node: an operator with its inputs and outputs. */
export interface GraphNode {
  /** The operator, such as "MatMul". */
  op: string;
  /** '' is `ai.onnx`; the others are 'com.microsoft', and 'heed' for the operators of onednn/ops.ts. */
  domain: string;
  /** Names of values; '' is an optional input left out. */
  inputs: string[];
  /** Names of values; '' is an optional output left out. */
  outputs: string[];
  /** The operator's attributes by name. */
  attributes: Record<string, Attribute>;
}

interface GraphValue {
  name: string;
  dtype: DType;
  /** A string names a dimension whose size the values of a run decide. */
  shape: (number | string)[];
}

/** A tensor whose numbers belong to the model. */
export interface Initializer {
  /** Its name in the graph. */
  name: string;
  /** The type of its elements. */
  dtype: DType;
  /** The sizes of its axes. */
  shape: number[];
  /**
   * The elements in row-major order, as the machine's (little-endian) bytes, whatever the view's type. Absent where
   * they lie in a file beside the model, or are passed by name when the model is loaded.
   */
  data?: ArrayBufferView;
  /** Where the elements lie in a file beside the model: the file's name, and the offset in bytes. */
  file?: { location: string; offset: number };
}

/** A whole graph. */
export interface ModelGraph {
  /** The nodes, in an order in which every value is made before it is used. */
  nodes: GraphNode[];
  /** The values that it reads at each run. */
  inputs: GraphValue[];
  /** The values that it computes. */
  outputs: GraphValue[];
  /** Its constants and fixed weights. */
  initializers: Initializer[];
  /** What a program can ask the model for, by name. */
  metadata?: Readonly<Record<string, string>>;
  /** Values in between whose shapes ONNX Runtime cannot know: the results of heed's own operators. */
  values?: GraphValue[];
}

// The messages of onnx.proto (ONNX 1.23), as far as heed writes them. ONNX is proto2: repeated numbers are not packed.

const entryMessage = message({ key: one(1, text), value: one(2, text) });

const tensorMessage = message({
  dims: unpacked(1, signed),
  dataType: one(2, signed),
  name: one(8, text),
  rawData: one(9, bytes),
  externalData: repeated(13, entryMessage),
  dataLocation: one(14, signed),
});

const dimensionMessage = message({ size: one(1, signed), symbol: one(2, text) });

const valueMessage = message({
  name: one(1, text),
  type: one(
    2,
    message({
      tensor: one(
        1,
        message({ elements: one(1, signed), shape: one(2, message({ dims: repeated(1, dimensionMessage) })) }),
      ),
    }),
  ),
});

const attributeMessage = message({
  name: one(1, text),
  float: one(2, float),
  int: one(3, signed),
  string: one(4, text),
  floats: unpacked(7, float),
  ints: unpacked(8, signed),
  type: one(20, signed),
});

const nodeMessage = message({
  inputs: repeated(1, text),
  outputs: repeated(2, text),
  name: one(3, text),
  op: one(4, text),
  attributes: repeated(5, attributeMessage),
  domain: one(7, text),
});

const graphMessage = message({
  nodes: repeated(1, nodeMessage),
  name: one(2, text),
  initializers: repeated(5, tensorMessage),
  inputs: repeated(11, valueMessage),
  outputs: repeated(12, valueMessage),
  values: repeated(13, valueMessage),
});

const modelMessage = message({
  irVersion: one(1, signed),
  producer: one(2, text),
  graph: one(7, graphMessage),
  opsets: repeated(8, message({ domain: one(1, text), version: one(2, signed) })),
  metadata: repeated(14, entryMessage),
});

const ATTRIBUTE = { FLOAT: 1, INT: 2, STRING: 3, FLOATS: 6, INTS: 7 };
/** Where a tensor's elements are: not in the model. */
const EXTERNAL = 1;

const IR_VERSION = 9;
const OPSETS = [
  { domain: '', version: 18 },
  { domain: 'com.microsoft', version: 1 },
];
const OWN_OPSET = { domain: 'heed', version: 1 };
const MAX_BYTES = 2 ** 31 - 1; // protobuf's limit on one message

/** Numbers of the types of elements in ONNX, and bytes of an element. */
const ELEMENTS: Record<DType, { type: number; bytes: number }> = {
  float32: { type: 1, bytes: 4 },
  uint8: { type: 2, bytes: 1 },
  int32: { type: 6, bytes: 4 },
  int64: { type: 7, bytes: 8 },
  bool: { type: 9, bytes: 1 },
  float16: { type: 10, bytes: 2 },
  uint32: { type: 12, bytes: 4 },
  bfloat16: { type: 16, bytes: 2 },
};

/**
 * The model as protobuf bytes.
 *
 * @throws HeedError where an integer attribute or a dimension is not an integer, where an initializer's data does not
 * fill its shape, or where the initializers exceed the 2 GiB that protobuf can hold.
 */
export function encodeModel(graph: ModelGraph): Uint8Array {
  const constantBytes = graph.initializers.reduce((sum, { data }) => sum + (data?.byteLength ?? 0), 0);
  if (constantBytes > MAX_BYTES) {
    throw new HeedError(`The initializers are ${constantBytes} bytes; an ONNX model holds at most ${MAX_BYTES}.`, {
      hint: 'Make large weights inputs of the graph.',
    });
  }
  return modelMessage.encode({
    irVersion: IR_VERSION,
    opsets: graph.nodes.some(({ domain }) => domain === 'heed') ? [...OPSETS, OWN_OPSET] : OPSETS,
    producer: 'heed',
    metadata: Object.entries(graph.metadata ?? {}).map(([key, value]) => ({ key, value })),
    graph: {
      name: 'graph',
      nodes: graph.nodes.map((node, index) => ({
        name: `${node.op}_${index}`, // shown in errors and profiles of ONNX Runtime
        op: node.op,
        domain: node.domain,
        inputs: node.inputs,
        outputs: node.outputs,
        attributes: Object.entries(node.attributes).map(([name, value]) => attribute(node.op, name, value)),
      })),
      inputs: graph.inputs.map(valueInfo),
      outputs: graph.outputs.map(valueInfo),
      initializers: graph.initializers.map(tensor),
      values: graph.values?.map(valueInfo),
    },
  });
}

function attribute(op: string, name: string, value: Attribute) {
  const what = `attribute '${name}' of ${op}`;
  if (typeof value === 'string') return { name, type: ATTRIBUTE.STRING, string: value };
  if (typeof value === 'number') return { name, type: ATTRIBUTE.INT, int: integer(value, what) };
  if (Array.isArray(value)) return { name, type: ATTRIBUTE.INTS, ints: value.map((v) => integer(v, what)) };
  if ('floats' in value) return { name, type: ATTRIBUTE.FLOATS, floats: value.floats };
  return { name, type: ATTRIBUTE.FLOAT, float: value.float };
}

function valueInfo({ name, dtype, shape }: GraphValue) {
  const dims = shape.map((size) => (typeof size === 'string' ? { symbol: size } : { size: dimension(size, name) }));
  return { name, type: { tensor: { elements: ELEMENTS[dtype].type, shape: { dims } } } };
}

function tensor({ name, dtype, shape, data, file }: Initializer) {
  const dims = shape.map((size) => dimension(size, name));
  const expected = shape.reduce((product, size) => product * size, ELEMENTS[dtype].bytes);
  const dataType = ELEMENTS[dtype].type;
  if (!data) {
    const { location, offset } = file ?? { location: 'passed by name', offset: 0 };
    const place = { location, offset: `${offset}`, length: `${expected}` };
    const externalData = Object.entries(place).map(([key, value]) => ({ key, value }));
    return { name, dataType, dims, dataLocation: EXTERNAL, externalData };
  }
  if (data.byteLength !== expected) {
    throw new HeedError(
      `Initializer '${name}' of ${dtype} [${shape}] needs ${expected} bytes, got ${data.byteLength}.`,
      { hint: 'Pass its elements in a typed array of that type (int64: BigInt64Array; bool: Uint8Array).' },
    );
  }
  const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, dataType, dims, rawData };
}

const SYMBOLIC = 'Name a dimension whose size is decided later with a string.';

function dimension(size: number, name: string): number {
  if (size < 0) throw new HeedError(`A dimension of '${name}' is ${size}; expected 0 or more.`, { hint: SYMBOLIC });
  return integer(size, `dimension of '${name}'`, SYMBOLIC);
}

const REAL = 'Write a real number as { float } or { floats }.';

function integer(value: number, what: string, hint = REAL): number {
  if (!Number.isSafeInteger(value)) throw new HeedError(`The ${what} must be an integer, got ${value}.`, { hint });
  return value;
}
