/** Versions 2 and 3 of oneDNN's C API, which differ in how an operation is described. */
import type { Pointer } from '../library.ts';
import type { Bf16Activation } from './activations.ts';

/** The activations by their numbers in versions 2 and 3 of oneDNN's C API. */
export const ACTIVATIONS: Record<Bf16Activation, { 2: number; 3: number }> = {
  silu: { 2: 0xdf, 3: 0x2c },
  gelu: { 2: 0x30, 3: 0x31 },
  geluTanh: { 2: 0xcf, 3: 0x2b },
};

/** Makes a function of the library by its declaration in C. */
export type Declare = (type: string) => (...args: unknown[]) => unknown;
type Out = (call: (...args: unknown[]) => unknown, ...args: unknown[]) => Pointer;

const [MULTIPLY, TRAINING] = [0x1fff1, 64];
const SOFTMAX = 0x30000;
const ANY_ORDER = 1;
/** The number of a·x + b, by version. */
export const LINEAR = { 2: 0x7f, 3: 0x26 };

/** What version 2 calls otherwise: descriptions are structs of the caller's, which are larger here than any version's. */
export function version2(declare: Declare, check: (status: unknown) => void, out: Out, engine: Pointer) {
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
  const initSoftmax = declare('int dnnl_softmax_forward_desc_init(void *softmax, int purpose, void *shape, int axis)');
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
    softmax: (shape: unknown, axis: number) => described(initSoftmax, [TRAINING, shape, axis]),
    activation,
    activationGradient: (kind: number, shape: unknown) =>
      described(initBackward, [kind, shape, shape, 1, 0], { hint: activation(kind, shape) }),
  };
}

/** What version 3 calls otherwise. */
export function version3(declare: Declare, out: Out, engine: Pointer) {
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
  const createSoftmax = declare(
    'int dnnl_softmax_forward_primitive_desc_create(_Out_ void **out, void *engine, int purpose, int kind, void *from, void *to, int axis, void *attributes)',
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
    softmax: (shape: unknown, axis: number): Pointer =>
      out(createSoftmax, engine, TRAINING, SOFTMAX, shape, shape, axis, null),
    activation,
    activationGradient: (kind: number, shape: unknown): Pointer =>
      out(createBackward, engine, kind, shape, shape, shape, 1, 0, activation(kind, shape), null),
  };
}
