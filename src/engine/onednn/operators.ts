/**
 * heed's own operators of ONNX Runtime, computed by oneDNN: `ToBf16` copies float32 as bfloat16, products multiply such
 * matrices, and what lies between two products can stay bfloat16: products one by one, activations and their gradients.
 * `OrtCustomOp` is a struct of function pointers (onnxruntime_c_api.h), filled with callbacks of koffi, so no code of ours
 * has to be compiled. They run in the thread that runs the session.
 */
import { HeedError } from '../../error.ts';
import { koffi, type Library, type Pointer } from '../library.ts';
import { BF16_ACTIVATIONS, type Bf16Activation } from './activations.ts';
import type { OneDnn } from './library.ts';
import type { Primitive } from './operations.ts';
import { type Routine, takeRoutine } from './routines.ts';

/** The domain of the operators, for a session's options. */
export interface OperatorDomain {
  /** The domain as ONNX Runtime knows it. */
  handle: Pointer;
  /** Throws the error of an operator since the last call: ONNX Runtime's callbacks cannot report one. */
  check(): void;
}

const [FLOAT, INT32, BFLOAT16] = [1, 6, 16];
const MOST_AXES = 8;
/** The fields of OrtCustomOp that follow came later; ONNX Runtime reads none of them at this version. */
const STRUCT_VERSION = 8;

interface Operator {
  name: string;
  inputs: number[];
  output: number;
  /** Compiles a node from its attributes. */
  compile(attribute: (name: string, type?: 'float') => number): Compiled;
}

/** What computes a node, and the shape of its result; or a routine, and the last axis of its result. */
type Compiled = { run: Primitive; shape: number[] } | { routine: Routine; width: number };

function operatorsOf(dnn: OneDnn): Operator[] {
  const product = (name: string, bias: boolean, narrow: boolean): Operator => ({
    name,
    inputs: bias ? [BFLOAT16, BFLOAT16, FLOAT] : [BFLOAT16, BFLOAT16],
    output: narrow ? BFLOAT16 : FLOAT,
    compile(attribute) {
      const [batch, m, k, n] = ['batch', 'm', 'k', 'n'].map((name) => attribute(name));
      const [transA, transB] = ['transA', 'transB'].map((name) => attribute(name) === 1);
      const run = dnn.product({ batch, m, k, n, transA, transB, bias, narrow, scale: attribute('scale', 'float') });
      return { run, shape: batch === 0 ? [m, n] : [batch, m, n] };
    },
  });
  const oneByOne = (name: string, inputs: number[], make: (count: number, kind: Bf16Activation) => Primitive) => ({
    name,
    inputs,
    output: BFLOAT16,
    compile(attribute: (name: string) => number) {
      const [rows, columns, kind] = ['rows', 'columns', 'kind'].map((name) => attribute(name));
      return { run: make(rows * columns, BF16_ACTIVATIONS[kind]), shape: [rows, columns] };
    },
  });
  const call = (name: string, inputs: number[]): Operator => ({
    name,
    inputs,
    output: FLOAT,
    compile: (attribute) => ({ routine: takeRoutine(attribute('routine')), width: attribute('width') }),
  });
  return [
    oneByOne('ToBf16', [FLOAT], dnn.toBf16),
    oneByOne('Bf16Mul', [BFLOAT16, BFLOAT16], dnn.multiply),
    oneByOne('Bf16Activation', [BFLOAT16], (count, kind) => dnn.activation(kind, count)),
    oneByOne('Bf16ActivationGradient', [BFLOAT16, BFLOAT16], (count, kind) => dnn.activationGradient(kind, count)),
    product('Bf16Product', false, false),
    product('Bf16ProductAndBias', true, false),
    product('NarrowBf16Product', false, true),
    product('NarrowBf16ProductAndBias', true, true),
    call('Call', [FLOAT]),
    call('CallBeside', [FLOAT, INT32]),
  ];
}

/** The callbacks of OrtCustomOp, as C declares them. */
const CALLBACKS = {
  createKernel: 'size_t (void *operator, void *api, void *info)',
  name: 'void *(void *operator)',
  type: 'int (void *operator, size_t index)',
  count: 'size_t (void *operator)',
  compute: 'void (size_t kernel, void *context)',
  destroy: 'void (size_t kernel)',
};

/** The fields of OrtCustomOp after its version, in order. */
const FIELDS = [
  'CreateKernel',
  'GetName',
  'GetExecutionProviderType',
  'GetInputType',
  'GetInputTypeCount',
  'GetOutputType',
  'GetOutputTypeCount',
  'KernelCompute',
  'KernelDestroy',
  'GetInputCharacteristic',
  'GetOutputCharacteristic',
];

/** How JavaScript is called from ONNX Runtime, and the struct that says so. */
function createCallbacks(k: ReturnType<typeof koffi>) {
  const types = Object.fromEntries(
    Object.entries(CALLBACKS).map(([key, type]) => [key, k.pointer(k.proto(type))]),
  ) as Record<keyof typeof CALLBACKS, ReturnType<typeof k.pointer>>;
  return {
    struct: k.struct({ version: 'uint32_t', ...Object.fromEntries(FIELDS.map((field) => [field, 'void *'])) }),
    register: (type: keyof typeof CALLBACKS, call: (...args: never[]) => unknown) =>
      k.register(call as Parameters<typeof k.register>[0], types[type]),
  };
}

/** Makes the operators known to ONNX Runtime. */
export function createOperators({ api, check, out }: Library, dnn: OneDnn): OperatorDomain {
  const k = koffi();
  let failure: unknown;
  const kernels = new Map<number, { inputs: number; compute(inputs: readonly Pointer[], context: Pointer): void }>();
  let count = 0;
  const noting = <T>(otherwise: T, call: () => T): T => {
    try {
      return call();
    } catch (error) {
      failure ??= error;
      return otherwise;
    }
  };
  const dataOf = (value: Pointer) => out('GetTensorMutableData', value);

  const resultOf = (context: Pointer, shape: BigInt64Array, rank = shape.length) =>
    dataOf(out('KernelContext_GetOutput', context, 0, shape, rank));

  function computing(compiled: Compiled): (inputs: readonly Pointer[], context: Pointer) => void {
    if ('run' in compiled) {
      const shape = BigInt64Array.from(compiled.shape, BigInt);
      return (inputs, context) => compiled.run(...inputs.map(dataOf), resultOf(context, shape));
    }
    const { routine, width } = compiled;
    return (inputs, context) => {
      const info = out('GetTensorTypeAndShape', inputs[0]);
      const rank = Number(out('GetDimensionsCount', info));
      check(api.GetDimensions(info, sizes, rank));
      api.ReleaseTensorTypeAndShapeInfo(info);
      let rows = 1;
      for (let i = 0; i < rank - 1; i++) rows *= Number(sizes[i]);
      sizes[rank - 1] = BigInt(width);
      const beside = inputs.length > 1 ? dataOf(inputs[1]) : undefined;
      routine(rows, dataOf(inputs[0]), resultOf(context, sizes, rank), beside);
    };
  }
  const sizes = new BigInt64Array(MOST_AXES);

  function createKernel({ inputs, compile }: Operator, info: Pointer): number {
    return noting(++count, () => {
      const attribute = (name: string, type: 'float' | 'int64' = 'int64') => {
        const result = [0];
        check(api[`KernelInfoGetAttribute_${type}`](info, name, result));
        return Number(result[0]);
      };
      kernels.set(count, { inputs: inputs.length, compute: computing(compile(attribute)) });
      return count;
    });
  }

  function compute(id: number, context: Pointer): void {
    if (failure) return;
    noting(undefined, () => {
      const kernel = kernels.get(Number(id));
      if (!kernel) throw new HeedError('internal: an operator runs that was not compiled');
      const inputs: Pointer[] = [];
      for (let i = 0; i < kernel.inputs; i++) inputs.push(out('KernelContext_GetInput', context, i));
      kernel.compute(inputs, context);
    });
  }

  const { struct, register } = createCallbacks(k);
  const required = register('type', () => 0);
  const destroy = register('destroy', (id: number) => void kernels.delete(Number(id)));
  const run = register('compute', compute);
  const onCpu = register('name', () => null);
  const one = register('count', () => 1);

  const handle = out('CreateCustomOpDomain', 'heed');
  for (const operator of operatorsOf(dnn)) {
    const text = k.alloc('char', operator.name.length + 1);
    k.encode(text, 'char', `${operator.name}\0`, operator.name.length + 1);
    const native = k.alloc(struct, 1);
    k.encode(native, struct, {
      version: STRUCT_VERSION,
      CreateKernel: register('createKernel', (_: Pointer, __: Pointer, info: Pointer) => createKernel(operator, info)),
      GetName: register('name', () => text),
      GetExecutionProviderType: onCpu,
      GetInputType: register('type', (_: Pointer, index: number) => operator.inputs[Number(index)]),
      GetInputTypeCount: register('count', () => operator.inputs.length),
      GetOutputType: register('type', () => operator.output),
      GetOutputTypeCount: one,
      KernelCompute: run,
      KernelDestroy: destroy,
      GetInputCharacteristic: required,
      GetOutputCharacteristic: required,
    });
    check(api.CustomOpDomain_Add(handle, native));
    held.push(text, native);
  }
  return {
    handle,
    check() {
      const error = failure;
      failure = undefined;
      if (error) throw error;
    },
  };
}

/** What ONNX Runtime points to for as long as the process lives. */
const held: unknown[] = [];
