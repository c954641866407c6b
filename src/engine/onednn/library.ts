/**
 * oneDNN, which multiplies matrices of bfloat16 on CPUs that have instructions for it; ONNX Runtime has none on x86. An
 * optional library, called through koffi. Versions 2 and 3 of its C API differ in how an operation is described.
 */
import { HeedError, messageOf } from '../../error.ts';
import { env, existsSync, join, readFileSync } from '../../node.ts';
import { keepLoaded, koffi, type Pointer } from '../library.ts';
import type { Bf16Activation } from './activations.ts';

/** The command that installs oneDNN where it is a package of the system. */
export const INSTALL = 'apt-get install libdnnl-dev';
const ELSEWHERE = `run "${INSTALL}" (Fedora: "dnf install onednn"; anywhere on Linux x64: "pip install onednn-cpu-gomp")`;
const NAMES = ['libdnnl.so.3', 'libdnnl.so.2', 'libdnnl.so', 'dnnl.dll'];

/** An operation: a function of the addresses of its operands and its result. */
export type Operation = (...addresses: Pointer[]) => void;

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

/** The activations by their numbers in versions 2 and 3 of oneDNN's C API. */
const ACTIVATIONS: Record<Bf16Activation, { 2: number; 3: number }> = {
  silu: { 2: 0xdf, 3: 0x2c },
  gelu: { 2: 0x30, 3: 0x31 },
  geluTanh: { 2: 0xcf, 3: 0x2b },
};

/** The library as loaded. */
export interface OneDnn {
  /** The file or name it was loaded from. */
  path: string;
  /** Its version, such as "3.2.1". */
  version: string;
  /** Whether it has products of bfloat16 for this CPU: AVX-512 BF16, or AMX. */
  bf16: boolean;
  /** Makes the product of two bfloat16 matrices: called with A, B, the bias if there is one, and the result. */
  product(shape: ProductShape): Operation;
  /** Makes the copy of `count` float32 numbers, the first address, as bfloat16, the second. */
  toBf16(count: number): Operation;
  /** Makes the products of two times `count` bfloat16 numbers, one by one; the result is the third address. */
  multiply(count: number): Operation;
  /** Makes an activation of `count` bfloat16 numbers. */
  activation(kind: Bf16Activation, count: number): Operation;
  /** Makes its gradient: called with what the activation read, the cotangent and the result, all bfloat16. */
  activationGradient(kind: Bf16Activation, count: number): Operation;
  /**
   * How a float32 weight [out, inner] is packed for `packedProduct`: as bfloat16, in the order in which it is read.
   * `copy` is called with the weight and the packed one.
   */
  packing(out: number, inner: number): { bytes: number; copy: Operation };
  /** Makes a product by a packed weight: called with the rows, the weight, any bias and the result. */
  packedProduct(shape: PackedProductShape): Operation;
}

const [F32, BF16] = [3, 2];
const [SOURCE, SECOND_SOURCE, WEIGHTS, BIAS, RESULT] = [1, 2, 33, 41, 17];
const WEIGHTS_SHAPE = 131; // dnnl_query_weights_md
const [SOURCE_GRADIENT, RESULT_GRADIENT] = [129, 145];
const AVX512_BF16 = 0xe7; // dnnl_cpu_isa_avx512_core_bf16; those with AMX have all its bits

/** Where the library is looked for, in order: what HEED_ONEDNN names alone, else the loader's places and Python's. */
export function candidates(): string[] {
  if (env.HEED_ONEDNN) return [env.HEED_ONEDNN];
  const folders = [env.VIRTUAL_ENV, env.CONDA_PREFIX].filter((folder) => folder !== undefined);
  const inPython = folders.flatMap((folder) => NAMES.map((name) => join(folder, 'lib', name))).filter(existsSync);
  return [...inPython, ...NAMES];
}

let tried: { found: OneDnn | undefined } | undefined;

/**
 * oneDNN, loaded once; undefined where it is not installed.
 *
 * @throws HeedError if HEED_ONEDNN names a file that is missing, cannot be loaded or is another library.
 */
export function oneDnn(threads: number): OneDnn | undefined {
  tried ??= { found: find(threads) };
  return tried.found;
}

function find(threads: number): OneDnn | undefined {
  const named = env.HEED_ONEDNN;
  if (named) {
    if (existsSync(named)) return loadOneDnn(named, threads);
    throw new HeedError(`HEED_ONEDNN names "${named}", which does not exist`, {
      hint: `set it to the path of oneDNN's library (libdnnl), or unset it and ${ELSEWHERE}`,
    });
  }
  for (const path of candidates()) {
    try {
      return loadOneDnn(path, threads);
    } catch {
      // not there, or one that lacks what it needs itself
    }
  }
  return undefined;
}

/** What there is for products of bfloat16. */
export interface Bf16Support {
  /** The library's name, version and path; undefined where it is not installed. */
  library?: string;
  /** Whether the CPU has instructions for them; undefined where that is not known without the library. */
  cpu?: boolean;
  /** Whether the library has them for this CPU. */
  works: boolean;
  /** What is missing, and what brings it; undefined where nothing is. */
  missing?: string;
}

const NO_CPU = 'this CPU has neither AVX-512 BF16 nor AMX';

/** What this machine has for products of bfloat16. @throws HeedError as `oneDnn` does. */
export function bf16Support(threads: number): Bf16Support {
  const found = oneDnn(threads);
  if (!found) {
    const cpu = cpuHasBf16();
    return { works: false, cpu, missing: cpu === false ? NO_CPU : `oneDNN is not installed; ${ELSEWHERE}` };
  }
  const library = `oneDNN ${found.version}, ${found.path}`;
  return { library, cpu: found.bf16, works: found.bf16, missing: found.bf16 ? undefined : NO_CPU };
}

/** Whether the CPU has instructions for bfloat16; undefined where the system does not say. */
function cpuHasBf16(): boolean | undefined {
  if (process.arch !== 'x64') return false;
  try {
    return /\b(avx512_bf16|amx_bf16)\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return undefined; // only Linux has the file
  }
}

/** Loads oneDNN. @throws HeedError if the file cannot be loaded, or is not oneDNN 2.6 or later. */
export function loadOneDnn(path: string, threads: number): OneDnn {
  let library: ReturnType<ReturnType<typeof koffi>['load']>;
  try {
    library = withSleepingThreads(() => koffi().load(path));
    keepLoaded(path);
  } catch (cause) {
    throw new HeedError(`cannot load "${path}": ${messageOf(cause)}`, { hint: ELSEWHERE, cause });
  }
  const declare = (type: string) => library.func(type) as unknown as (...args: unknown[]) => unknown;
  const attempt = (type: string) => {
    try {
      return declare(type);
    } catch {
      return undefined;
    }
  };
  const describeVersion = attempt('void *dnnl_version()');
  if (!describeVersion) {
    throw new HeedError(`"${path}" is not oneDNN: it has no dnnl_version`, { hint: ELSEWHERE });
  }
  const [major, minor, patch] = koffi().decode(describeVersion(), 'int', 3) as number[];
  const version = `${major}.${minor}.${patch}`;
  if (major < 2 || (major === 2 && minor < 6)) {
    throw new HeedError(`oneDNN in "${path}" is ${version}: 2.6 or later is needed`, { hint: ELSEWHERE });
  }
  attempt('void omp_set_num_threads(int threads)')?.(threads);
  const isa = declare('int dnnl_get_effective_cpu_isa()')() as number;
  let operations: Operations | undefined;
  const made = () => {
    operations ??= createOperations(declare, major === 2 ? 2 : 3);
    return operations;
  };
  return {
    path,
    version,
    bf16: (isa & AVX512_BF16) === AVX512_BF16,
    product: (shape) => made().product(shape),
    toBf16: (count) => made().toBf16(count),
    multiply: (count) => made().multiply(count),
    activation: (kind, count) => made().activation(kind, count),
    activationGradient: (kind, count) => made().activationGradient(kind, count),
    packing: (out, inner) => made().packing(out, inner),
    packedProduct: (shape) => made().packedProduct(shape),
  };
}

/** What OpenMP reads when it is loaded. Its threads wait a few microseconds for the next product, and then sleep. */
const WAITING = { OMP_WAIT_POLICY: 'passive', GOMP_SPINCOUNT: '1000' };

/**
 * Loads a library whose OpenMP threads sleep between two products: spinning, they would take the cores of ONNX Runtime's.
 * The variables are set in the C library, since `process.env` of a worker thread is a copy, and unset again, so that child
 * processes do not get them.
 */
function withSleepingThreads<T>(load: () => T): T {
  if (env.OMP_WAIT_POLICY || process.platform === 'win32') return load();
  const own = koffi().load(null);
  const [set, unset] = [
    own.func('int setenv(const char *name, const char *value, int overwrite)'),
    own.func('int unsetenv(const char *name)'),
  ];
  const names = Object.keys(WAITING).filter((name) => env[name] === undefined);
  for (const name of names) set(name, WAITING[name as keyof typeof WAITING], 1);
  try {
    return load();
  } finally {
    for (const name of names) unset(name);
  }
}

/** Packed products that are kept. One takes less than 100 KB. */
const MOST_PRODUCTS = 512;

type Operations = Omit<OneDnn, 'path' | 'version' | 'bf16'>;

function createOperations(declare: Declare, major: 2 | 3): Operations {
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
  const describeCopy = declare(
    'int dnnl_reorder_primitive_desc_create(_Out_ void **out, void *from, void *fromEngine, void *to, void *toEngine, void *attributes)',
  );
  const [cpu, inOrder] = [1, 1];
  const engine = out(declare('int dnnl_engine_create(_Out_ void **out, int kind, size_t index)'), cpu, 0);
  const stream = out(declare('int dnnl_stream_create(_Out_ void **out, void *engine, int flags)'), engine, inOrder);
  const createAttributes = declare('int dnnl_primitive_attr_create(_Out_ void **out)');
  const createPostOps = declare('int dnnl_post_ops_create(_Out_ void **out)');
  const setPostOps = declare('int dnnl_primitive_attr_set_post_ops(void *attributes, void *operations)');
  /** What a product does to its result. */
  const followedBy = (kind: number, alpha: number): Pointer => {
    const [attributes, operations] = [out(createAttributes), out(createPostOps)];
    check(describe.append(operations, kind, alpha));
    check(setPostOps(attributes, operations));
    return attributes;
  };
  const scaledBy = (scale: number): Pointer => followedBy(LINEAR[major], scale);
  const describe = major === 2 ? version2(declare, check, out, engine) : version3(declare, out, engine);

  const [destroyPrimitive, destroyDescription, destroyMemory] = ['primitive', 'primitive_desc', 'memory'].map((what) =>
    declare(`int dnnl_${what}_destroy(void *${what})`),
  );
  const operation = (...given: Parameters<typeof disposable>): Operation => disposable(...given).run;
  const disposable = (description: Pointer, operands: (readonly [index: number, shape: unknown])[]) => {
    const primitive = out(createPrimitive, description);
    const parts = operands.map(([index, shape]) => ({ index, memory: out(createMemory, shape, engine, null) }));
    const list = koffi().alloc(argument, parts.length);
    koffi().encode(list, argument, parts, parts.length);
    const run: Operation = (...addresses) => {
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
  // equal operations share one: they run one after another, each on the addresses of its call
  const known = new Map<string, Operation>();
  const shared = (key: string, make: () => Operation): Operation => {
    const found = known.get(key) ?? make();
    known.set(key, found);
    return found;
  };
  const product = ({ batch, m, k, n, transA, transB, bias, narrow, scale }: ProductShape): Operation => {
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
    return operation(describe.product(a, b, row, result, scale === 1 ? null : scaledBy(scale)), operands);
  };
  const toBf16 = (count: number): Operation => {
    const [from, to] = [F32, BF16].map((type) => describe.matrix([count], type, [1]));
    const description = out(describeCopy, from, engine, to, engine, null);
    return operation(description, [
      [SOURCE, from],
      [RESULT, to],
    ]);
  };
  const multiply = (count: number): Operation => {
    const numbers = describe.matrix([count], BF16, [1]);
    return operation(
      describe.multiplication(numbers),
      [SOURCE, SECOND_SOURCE, RESULT].map((index) => [index, numbers] as const),
    );
  };
  const activation = (kind: Bf16Activation, count: number): Operation => {
    const numbers = describe.matrix([count], BF16, [1]);
    return operation(
      describe.activation(ACTIVATIONS[kind][major], numbers),
      [SOURCE, RESULT].map((index) => [index, numbers] as const),
    );
  };
  const activationGradient = (kind: Bf16Activation, count: number): Operation => {
    const numbers = describe.matrix([count], BF16, [1]);
    return operation(
      describe.activationGradient(ACTIVATIONS[kind][major], numbers),
      [SOURCE, RESULT_GRADIENT, SOURCE_GRADIENT].map((index) => [index, numbers] as const),
    );
  };
  /** The layout in which products of this many rows read a weight; those of other numbers of rows take it as well. */
  const TYPICAL_ROWS = 32;
  const weightsOf = declare('void *dnnl_primitive_desc_query_md(void *description, int what, int index)');
  const packedShape = (rows: number, inner: number): unknown => {
    const [a, result] = [inner, rows].map((columns) => describe.matrix([TYPICAL_ROWS, columns], BF16, [columns, 1]));
    const free = describe.anyOrder([inner, rows], BF16);
    return weightsOf(describe.product(a, free, null, result, null), WEIGHTS_SHAPE, 0);
  };
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
    const copy = operation(out(describeCopy, plain, engine, packed, engine, null), [
      [SOURCE, plain],
      [RESULT, packed],
    ]);
    return { bytes: Number(sizeOf(packed)), copy };
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
  // prompts have any number of rows: the least recently used go first
  const recent = new Map<string, ReturnType<typeof disposable>>();
  const packedProduct = (shape: PackedProductShape): Operation => {
    const { rows, inner, out: columns, bias, activation, narrow } = shape;
    const key = `${rows} ${inner} ${columns} ${bias} ${activation} ${narrow}`;
    const found = recent.get(key) ?? createPackedProduct(shape);
    recent.delete(key);
    recent.set(key, found);
    if (recent.size > MOST_PRODUCTS) {
      const [[oldest, { release }]] = recent;
      recent.delete(oldest);
      release();
    }
    return found.run;
  };
  return {
    packing,
    packedProduct,
    product: (shape) => shared(`product ${Object.values(shape)}`, () => product(shape)),
    toBf16: (count) => shared(`copy ${count}`, () => toBf16(count)),
    multiply: (count) => shared(`multiply ${count}`, () => multiply(count)),
    activation: (kind, count) => shared(`${kind} ${count}`, () => activation(kind, count)),
    activationGradient: (kind, count) => shared(`gradient of ${kind} ${count}`, () => activationGradient(kind, count)),
  };
}

type Declare = (type: string) => (...args: unknown[]) => unknown;
type Out = (call: (...args: unknown[]) => unknown, ...args: unknown[]) => Pointer;

const [MULTIPLY, TRAINING] = [0x1fff1, 64];
const ANY_ORDER = 1;
const LINEAR = { 2: 0x7f, 3: 0x26 };

/** What version 2 calls otherwise: descriptions are structs of the caller's, which are larger here than any version's. */
function version2(declare: Declare, check: (status: unknown) => void, out: Out, engine: Pointer) {
  const initMatrix = declare(
    'int dnnl_memory_desc_init_by_strides(void *shape, int rank, const int64_t *dims, int type, const int64_t *strides)',
  );
  const initAnyOrder = declare(
    'int dnnl_memory_desc_init_by_tag(void *shape, int rank, const int64_t *dims, int type, int order)',
  );
  const initProduct = declare('int dnnl_matmul_desc_init(void *product, void *a, void *b, void *bias, void *result)');
  const initBinary = declare('int dnnl_binary_desc_init(void *binary, int kind, void *a, void *b, void *result)');
  const initForward = declare(
    'int dnnl_eltwise_forward_desc_init(void *forward, int purpose, int kind, void *shape, float alpha, float beta)',
  );
  const initBackward = declare(
    'int dnnl_eltwise_backward_desc_init(void *backward, int kind, void *gradient, void *shape, float alpha, float beta)',
  );
  const create = declare(
    'int dnnl_primitive_desc_create(_Out_ void **out, void *operation, void *attributes, void *engine, void *hint)',
  );
  const appendEltwise = declare(
    'int dnnl_post_ops_append_eltwise(void *operations, float scale, int kind, float alpha, float beta)',
  );
  const described = (
    init: (...args: unknown[]) => unknown,
    args: unknown[],
    { attributes = null, hint = null }: { attributes?: Pointer; hint?: Pointer } = {},
  ): Pointer => {
    const operation = Buffer.alloc(16384);
    check(init(operation, ...args));
    return out(create, operation, attributes, engine, hint);
  };
  const activation = (kind: number, shape: unknown) => described(initForward, [TRAINING, kind, shape, 1, 0]);
  return {
    matrix(dims: number[], type: number, strides: number[]): unknown {
      const shape = Buffer.alloc(2048);
      check(
        initMatrix(shape, dims.length, BigInt64Array.from(dims, BigInt), type, BigInt64Array.from(strides, BigInt)),
      );
      return shape;
    },
    append: (operations: Pointer, kind: number, alpha: number) => appendEltwise(operations, 1, kind, alpha, 0),
    anyOrder(dims: number[], type: number): unknown {
      const shape = Buffer.alloc(2048);
      check(initAnyOrder(shape, dims.length, BigInt64Array.from(dims, BigInt), type, ANY_ORDER));
      return shape;
    },
    product: (a: unknown, b: unknown, bias: unknown, result: unknown, attributes: Pointer) =>
      described(initProduct, [a, b, bias, result], { attributes }),
    multiplication: (shape: unknown) => described(initBinary, [MULTIPLY, shape, shape, shape]),
    activation,
    activationGradient: (kind: number, shape: unknown) =>
      described(initBackward, [kind, shape, shape, 1, 0], { hint: activation(kind, shape) }),
  };
}

function version3(declare: Declare, out: Out, engine: Pointer) {
  const createMatrix = declare(
    'int dnnl_memory_desc_create_with_strides(_Out_ void **out, int rank, const int64_t *dims, int type, const int64_t *strides)',
  );
  const createAnyOrder = declare(
    'int dnnl_memory_desc_create_with_tag(_Out_ void **out, int rank, const int64_t *dims, int type, int order)',
  );
  const createProduct = declare(
    'int dnnl_matmul_primitive_desc_create(_Out_ void **out, void *engine, void *a, void *b, void *bias, void *result, void *attributes)',
  );
  const appendEltwise = declare(
    'int dnnl_post_ops_append_eltwise(void *operations, int kind, float alpha, float beta)',
  );
  const createBinary = declare(
    'int dnnl_binary_primitive_desc_create(_Out_ void **out, void *engine, int kind, void *a, void *b, void *result, void *attributes)',
  );
  const createForward = declare(
    'int dnnl_eltwise_forward_primitive_desc_create(_Out_ void **out, void *engine, int purpose, int kind, void *from, void *to, float alpha, float beta, void *attributes)',
  );
  const createBackward = declare(
    'int dnnl_eltwise_backward_primitive_desc_create(_Out_ void **out, void *engine, int kind, void *to, void *gradient, void *from, float alpha, float beta, void *hint, void *attributes)',
  );
  const activation = (kind: number, shape: unknown) =>
    out(createForward, engine, TRAINING, kind, shape, shape, 1, 0, null);
  return {
    matrix: (dims: number[], type: number, strides: number[]): unknown =>
      out(createMatrix, dims.length, BigInt64Array.from(dims, BigInt), type, BigInt64Array.from(strides, BigInt)),
    append: (operations: Pointer, kind: number, alpha: number) => appendEltwise(operations, kind, alpha, 0),
    anyOrder: (dims: number[], type: number): unknown =>
      out(createAnyOrder, dims.length, BigInt64Array.from(dims, BigInt), type, ANY_ORDER),
    product: (a: unknown, b: unknown, bias: unknown, result: unknown, attributes: Pointer): Pointer =>
      out(createProduct, engine, a, b, bias, result, attributes),
    multiplication: (shape: unknown): Pointer => out(createBinary, engine, MULTIPLY, shape, shape, shape, null),
    activation,
    activationGradient: (kind: number, shape: unknown): Pointer =>
      out(createBackward, engine, kind, shape, shape, shape, 1, 0, activation(kind, shape), null),
  };
}
