/**
 * Writes a graph of plain data as an ONNX model: the bytes that ONNX Runtime loads.
 *
 * IR version 9; operators of `ai.onnx` opset 18 and `com.microsoft` 1. ONNX Runtime checks that operators and shapes
 * fit together when it loads the model.
 */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { HeedError } from '../error.ts';
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from './onnx_pb.ts';

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

const IR_VERSION = 9n;
const OPSETS = [
  { domain: '', version: 18n },
  { domain: 'com.microsoft', version: 1n },
];
const OWN_OPSET = { domain: 'heed', version: 1n };
const MAX_BYTES = 2 ** 31 - 1; // protobuf's limit on one message

const ELEMENTS: Record<DType, { type: DataType; bytes: number }> = {
  float32: { type: DataType.FLOAT, bytes: 4 },
  int64: { type: DataType.INT64, bytes: 8 },
  int32: { type: DataType.INT32, bytes: 4 },
  bool: { type: DataType.BOOL, bytes: 1 },
  uint8: { type: DataType.UINT8, bytes: 1 },
  uint32: { type: DataType.UINT32, bytes: 4 },
  float16: { type: DataType.FLOAT16, bytes: 2 },
  bfloat16: { type: DataType.BFLOAT16, bytes: 2 },
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
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    opsetImport: graph.nodes.some(({ domain }) => domain === 'heed') ? [...OPSETS, OWN_OPSET] : OPSETS,
    producerName: 'heed',
    metadataProps: Object.entries(graph.metadata ?? {}).map(([key, value]) => ({ key, value })),
    graph: {
      name: 'graph',
      node: graph.nodes.map((node, index) => ({
        name: `${node.op}_${index}`, // shown in errors and profiles of ONNX Runtime
        opType: node.op,
        domain: node.domain,
        input: node.inputs,
        output: node.outputs,
        attribute: Object.entries(node.attributes).map(([name, value]) => attribute(node.op, name, value)),
      })),
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
      initializer: graph.initializers.map(tensor),
      valueInfo: graph.values?.map(valueInfo),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

function attribute(op: string, name: string, value: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  const what = `attribute '${name}' of ${op}`;
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: integer(value, what) };
  if (Array.isArray(value)) return { name, type: AttributeType.INTS, ints: value.map((v) => integer(v, what)) };
  if ('floats' in value) return { name, type: AttributeType.FLOATS, floats: value.floats };
  return { name, type: AttributeType.FLOAT, f: value.float };
}

function valueInfo({ name, dtype, shape }: GraphValue): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape.map((size) =>
    typeof size === 'string'
      ? { value: { case: 'dimParam' as const, value: size } }
      : { value: { case: 'dimValue' as const, value: dimension(size, name) } },
  );
  return { name, type: { value: { case: 'tensorType', value: { elemType: ELEMENTS[dtype].type, shape: { dim } } } } };
}

function tensor({ name, dtype, shape, data, file }: Initializer): MessageInitShape<typeof TensorProtoSchema> {
  const dims = shape.map((size) => dimension(size, name));
  const expected = shape.reduce((product, size) => product * size, ELEMENTS[dtype].bytes);
  const dataType = ELEMENTS[dtype].type;
  if (!data) {
    const { location, offset } = file ?? { location: 'passed by name', offset: 0 };
    const place = { location, offset: `${offset}`, length: `${expected}` };
    const externalData = Object.entries(place).map(([key, value]) => ({ key, value }));
    return { name, dataType, dims, dataLocation: DataLocation.EXTERNAL, externalData };
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

function dimension(size: number, name: string): bigint {
  if (size < 0) throw new HeedError(`A dimension of '${name}' is ${size}; expected 0 or more.`, { hint: SYMBOLIC });
  return integer(size, `dimension of '${name}'`, SYMBOLIC);
}

const REAL = 'Write a real number as { float } or { floats }.';

function integer(value: number, what: string, hint = REAL): bigint {
  if (!Number.isSafeInteger(value)) throw new HeedError(`The ${what} must be an integer, got ${value}.`, { hint });
  return BigInt(value);
}
