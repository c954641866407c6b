/** What heed computes with oneDNN: each operation is made once, and then called with addresses. */
import { HeedError } from '../../error.ts';
import { koffi, type Pointer } from '../library.ts';
import type { Bf16Activation } from './activations.ts';
import { ACTIVATIONS, type Declare, LINEAR, version2, version3 } from './versions.ts';

/** An operation: a function of the addresses of its operands and its result. */
export type Primitive = (...addresses: Pointer[]) => void;

/** A product of two bfloat16 matrices, as the operands lie: A is [m, k], or [k, m] where transposed. */
export interface ProductShape {
  /** How many such products lie one after another; 0 for one. */
  batch: number;
  /** Rows of the result. */
  m: number;
  /** Columns of A and rows of B. */
  k: number;
  /** Columns of the result. */
  n: number;
  /** Whether A is read transposed. */
  transA: boolean;
  /** Whether B is read transposed. */
  transB: boolean;
  /** Whether a float32 row [n] is added. */
  bias: boolean;
  /** Whether the result is rounded to bfloat16; float32 otherwise. */
  narrow: boolean;
  /** Factor of the product. */
  scale: number;
}

/** A product of bfloat16 rows and the transpose of a packed weight. */
export interface PackedProductShape {
  /** Number of rows. */
  rows: number;
  /** Columns of the rows and of the weight. */
  inner: number;
  /** Rows of the weight, and columns of the result. */
  out: number;
  /** Whether a float32 row [out] is added. */
  bias: boolean;
  /** What is done to the result. */
  activation?: Bf16Activation;
  /** Whether the result is rounded to bfloat16; float32 otherwise. */
  narrow: boolean;
}

/** Makes a function run with a number of threads. */
export type Within = <A extends unknown[], T>(work: (...args: A) => T) => (...args: A) => T;

/** What it computes. */
export interface Operations {
  /** Makes the product of two bfloat16 matrices: called with A, B, the bias if there is one, and the result. */
  product(shape: ProductShape): Primitive;
  /** Makes the copy of `count` float32 numbers, the first address, as bfloat16, the second. */
  toBf16(count: number): Primitive;
  /** Makes the products of two times `count` bfloat16 numbers, one by one; the result is the third address. */
  multiply(count: number): Primitive;
  /** Makes an activation of `count` bfloat16 numbers. */
  activation(kind: Bf16Activation, count: number): Primitive;
  /** Makes its gradient: called with what the activation read, the cotangent and the result, all bfloat16. */
  activationGradient(kind: Bf16Activation, count: number): Primitive;
  /**
   * How a float32 weight [out, inner] is packed for `packedProduct`: as bfloat16, in the order in which it is read.
   * `copy` is called with the weight and the packed one.
   */
  packing(out: number, inner: number): { bytes: number; copy: Primitive };
  /** Makes a product by a packed weight: called with the rows, the weight, any bias and the result. */
  packedProduct(shape: PackedProductShape): Primitive;
  /** The same for sizes that come and go: to be called at once, since only the latest are kept. */
  passing: Pick<Operations, 'product' | 'toBf16' | 'multiply'>;
  /** Makes the softmax of each of some float32 rows, in place. */
  softmax(rows: number, columns: number): Primitive;
}

const [F32, BF16] = [3, 2];
const [SOURCE, SECOND_SOURCE, WEIGHTS, BIAS, RESULT] = [1, 2, 33, 41, 17];
const WEIGHTS_SHAPE = 131; // dnnl_query_weights_md
const [SOURCE_GRADIENT, RESULT_GRADIENT] = [129, 145];

const keyOf = ({ batch, m, k, n, transA, transB, bias, narrow, scale }: ProductShape) =>
  `${batch} ${m} ${k} ${n} ${transA} ${transB} ${bias} ${narrow} ${scale}`;

/** Operations of any size that are kept. One takes less than 100 KB. */
const MOST_PRODUCTS = 512;

/** The layout in which products of this many rows read a weight; those of other numbers of rows take it as well. */
const TYPICAL_ROWS = 32;

/** An operation that is ready to run, until it is released. */
interface Prepared {
  run: Primitive;
  release(): void;
}

/** What every operation needs of a loaded library: an engine and a stream on the CPU, and how it is prepared. */
function createRunner(declare: Declare) {
  const argument = koffi().struct({ index: 'int', memory: 'void *' });
  const check = (status: unknown) => {
    if (status !== 0) throw new HeedError(`oneDNN: status ${status}`, { hint: 'use --precision fp32' });
  };
  const out = (call: (...args: unknown[]) => unknown, ...args: unknown[]): Pointer => {
    const result = [null];
    check(call(result, ...args));
    return result[0];
  };
  const createMemory = declare('int dnnl_memory_create(_Out_ void **out, void *shape, void *engine, void *data)');
  const setData = declare('int dnnl_memory_set_data_handle(void *memory, void *data)');
  const createPrimitive = declare('int dnnl_primitive_create(_Out_ void **out, void *description)');
  const execute = declare('int dnnl_primitive_execute(void *primitive, void *stream, int count, void *arguments)');
  const wait = declare('int dnnl_stream_wait(void *stream)');
  const describeReorder = declare(
    'int dnnl_reorder_primitive_desc_create(_Out_ void **out, void *from, void *fromEngine, void *to, void *toEngine, void *attributes)',
  );
  const [cpu, inOrder] = [1, 1];
  const engine = out(declare('int dnnl_engine_create(_Out_ void **out, int kind, size_t index)'), cpu, 0);
  const stream = out(declare('int dnnl_stream_create(_Out_ void **out, void *engine, int flags)'), engine, inOrder);

  const [destroyPrimitive, destroyDescription, destroyMemory] = ['primitive', 'primitive_desc', 'memory'].map((what) =>
    declare(`int dnnl_${what}_destroy(void *${what})`),
  );
  const disposable = (description: Pointer, operands: (readonly [index: number, shape: unknown])[]): Prepared => {
    const primitive = out(createPrimitive, description);
    const parts = operands.map(([index, shape]) => ({ index, memory: out(createMemory, shape, engine, null) }));
    const list = koffi().alloc(argument, parts.length);
    koffi().encode(list, argument, parts, parts.length);
    const run: Primitive = (...addresses) => {
      for (let i = 0; i < parts.length; i++) check(setData(parts[i].memory, addresses[i]));
      check(execute(primitive, stream, parts.length, list));
      check(wait(stream));
    };
    const release = () => {
      for (const { memory } of parts) destroyMemory(memory);
      destroyPrimitive(primitive);
      destroyDescription(description);
      koffi().free(list);
    };
    return { run, release };
  };
  /** Describes a copy from one layout to another. */
  const describeCopy = (from: unknown, to: unknown) => out(describeReorder, from, engine, to, engine, null);
  return { check, out, engine, disposable, describeCopy };
}
type Runner = ReturnType<typeof createRunner>;
type Descriptions = ReturnType<typeof version2> | ReturnType<typeof version3>;

/** Makes what a product does to its result. */
function createPostOperations(
  declare: Declare,
  { check, out }: Runner,
  describe: Descriptions,
): (kind: number, alpha: number) => Pointer {
  const createAttributes = declare('int dnnl_primitive_attr_create(_Out_ void **out)');
  const createPostOps = declare('int dnnl_post_ops_create(_Out_ void **out)');
  const setPostOps = declare('int dnnl_primitive_attr_set_post_ops(void *attributes, void *operations)');
  return (kind, alpha) => {
    const [attributes, operations] = [out(createAttributes), out(createPostOps)];
    check(describe.append(operations, kind, alpha));
    check(setPostOps(attributes, operations));
    return attributes;
  };
}

/** The operations on matrices and vectors of bfloat16. */
function createMakers(
  { disposable, describeCopy }: Runner,
  describe: Descriptions,
  scaledBy: (scale: number) => Pointer,
  major: 2 | 3,
) {
  const product = ({ batch, m, k, n, transA, transB, bias, narrow, scale }: ProductShape) => {
    const matrices = ([rows, columns]: number[], type: number, strides: number[]) =>
      batch === 0
        ? describe.matrix([rows, columns], type, strides)
        : describe.matrix([batch, rows, columns], type, [rows * columns, ...strides]);
    const a = matrices([m, k], BF16, transA ? [1, m] : [k, 1]);
    const b = matrices([k, n], BF16, transB ? [1, k] : [n, 1]);
    const row = bias ? describe.matrix([1, n], F32, [n, 1]) : null;
    const result = matrices([m, n], narrow ? BF16 : F32, [n, 1]);
    const operands: [number, unknown][] = [
      [SOURCE, a],
      [WEIGHTS, b],
      [RESULT, result],
    ];
    if (row) operands.splice(2, 0, [BIAS, row]);
    return disposable(describe.product(a, b, row, result, scale === 1 ? null : scaledBy(scale)), operands);
  };
  const toBf16 = (count: number) => {
    const [from, to] = [F32, BF16].map((type) => describe.matrix([count], type, [1]));
    const description = describeCopy(from, to);
    return disposable(description, [
      [SOURCE, from],
      [RESULT, to],
    ]);
  };
  const multiply = (count: number) => {
    const numbers = describe.matrix([count], BF16, [1]);
    return disposable(
      describe.multiplication(numbers),
      [SOURCE, SECOND_SOURCE, RESULT].map((index) => [index, numbers] as const),
    );
  };
  const activation = (kind: Bf16Activation, count: number): Prepared => {
    const numbers = describe.matrix([count], BF16, [1]);
    return disposable(
      describe.activation(ACTIVATIONS[kind][major], numbers),
      [SOURCE, RESULT].map((index) => [index, numbers] as const),
    );
  };
  const activationGradient = (kind: Bf16Activation, count: number): Prepared => {
    const numbers = describe.matrix([count], BF16, [1]);
    return disposable(
      describe.activationGradient(ACTIVATIONS[kind][major], numbers),
      [SOURCE, RESULT_GRADIENT, SOURCE_GRADIENT].map((index) => [index, numbers] as const),
    );
  };
  const softmax = (rows: number, columns: number) => {
    const matrix = describe.matrix([rows, columns], F32, [columns, 1]);
    const { run, release } = disposable(describe.softmax(matrix, 1), [
      [SOURCE, matrix],
      [RESULT, matrix],
    ]);
    return { run: (address: Pointer) => run(address, address), release };
  };
  return { product, toBf16, multiply, activation, activationGradient, softmax };
}

/** Packs weights, and makes products by them. */
function createPacking(
  declare: Declare,
  { disposable, describeCopy }: Runner,
  describe: Descriptions,
  inOneThread: Within,
  followedBy: (kind: number, alpha: number) => Pointer,
  major: 2 | 3,
) {
  const weightsOf = declare('void *dnnl_primitive_desc_query_md(void *description, int what, int index)');
  // programs in one thread and in several read the same copies, so all use the layout for one thread
  const packedShape = inOneThread((rows: number, inner: number): unknown => {
    const [a, result] = [inner, rows].map((columns) => describe.matrix([TYPICAL_ROWS, columns], BF16, [columns, 1]));
    const free = describe.anyOrder([inner, rows], BF16);
    return weightsOf(describe.product(a, free, null, result, null), WEIGHTS_SHAPE, 0);
  });
  const packedShapes = new Map<string, unknown>();
  const packedShapeOf = (rows: number, inner: number): unknown => {
    const key = `${rows} ${inner}`;
    const found = packedShapes.get(key) ?? packedShape(rows, inner);
    packedShapes.set(key, found);
    return found;
  };
  const sizeOf = declare('size_t dnnl_memory_desc_get_size(void *shape)');
  const packing = (rows: number, inner: number) => {
    const [plain, packed] = [describe.matrix([inner, rows], F32, [1, inner]), packedShapeOf(rows, inner)];
    const copy = disposable(describeCopy(plain, packed), [
      [SOURCE, plain],
      [RESULT, packed],
    ]);
    return { bytes: Number(sizeOf(packed)), copy: copy.run };
  };
  const createPackedProduct = (shape: PackedProductShape) => {
    const { rows, inner, out: columns, bias, activation, narrow } = shape;
    const a = describe.matrix([rows, inner], BF16, [inner, 1]);
    const weight = packedShapeOf(columns, inner);
    const row = bias ? describe.matrix([1, columns], F32, [columns, 1]) : null;
    const result = describe.matrix([rows, columns], narrow ? BF16 : F32, [columns, 1]);
    const attributes = activation ? followedBy(ACTIVATIONS[activation][major], 1) : null;
    const operands: [number, unknown][] = [
      [SOURCE, a],
      [WEIGHTS, weight],
    ];
    if (row) operands.push([BIAS, row]);
    operands.push([RESULT, result]);
    return disposable(describe.product(a, weight, row, result, attributes), operands);
  };
  return { packing, createPackedProduct };
}

/** Keeps operations by their keys: they run one after another, each on the addresses of its call. */
function createShared(): (key: string, make: () => Primitive) => Primitive {
  const known = new Map<string, Primitive>();
  return (key, make) => {
    const found = known.get(key) ?? make();
    known.set(key, found);
    return found;
  };
}

/** The same for rows and lengths of any number: the least recently used go first. */
function createRecent(): (key: string, make: () => Prepared) => Primitive {
  const recent = new Map<string, Prepared>();
  return (key, make) => {
    const found = recent.get(key) ?? make();
    recent.delete(key);
    recent.set(key, found);
    if (recent.size > MOST_PRODUCTS) {
      const [[oldest, { release }]] = recent;
      recent.delete(oldest);
      release();
    }
    return found.run;
  };
}

/** The operations of a loaded library, by the functions of its major version. `inOneThread` runs a function in one. */
export function createOperations(declare: Declare, major: 2 | 3, inOneThread: Within): Operations {
  const runner = createRunner(declare);
  const { check, out, engine } = runner;
  const describe = major === 2 ? version2(declare, check, out, engine) : version3(declare, out, engine);
  const followedBy = createPostOperations(declare, runner, describe);
  const scaledBy = (scale: number) => followedBy(LINEAR[major], scale);
  const { product, toBf16, multiply, ...makers } = createMakers(runner, describe, scaledBy, major);
  const { packing, createPackedProduct } = createPacking(declare, runner, describe, inOneThread, followedBy, major);
  const shared = createShared();
  const kept = createRecent();
  return {
    packing,
    packedProduct(shape) {
      const { rows, inner, out: columns, bias, activation, narrow } = shape;
      const key = `${rows} ${inner} ${columns} ${bias} ${activation} ${narrow}`;
      return kept(key, () => createPackedProduct(shape));
    },
    softmax: (rows, columns) => kept(`softmax ${rows} ${columns}`, () => makers.softmax(rows, columns)),
    product: (shape) => shared(`product ${keyOf(shape)}`, () => product(shape).run),
    toBf16: (count) => shared(`copy ${count}`, () => toBf16(count).run),
    multiply: (count) => shared(`multiply ${count}`, () => multiply(count).run),
    passing: {
      product: (shape) => kept(`product ${keyOf(shape)}`, () => product(shape)),
      toBf16: (count) => kept(`copy ${count}`, () => toBf16(count)),
      multiply: (count) => kept(`multiply ${count}`, () => multiply(count)),
    },
    activation: (kind, count) => shared(`${kind} ${count}`, () => makers.activation(kind, count).run),
    activationGradient: (kind, count) =>
      shared(`gradient of ${kind} ${count}`, () => makers.activationGradient(kind, count).run),
  };
}
