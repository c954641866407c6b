/** The one ONNX Runtime environment of the process, and the values that programs run on. */
import { availableParallelism } from 'node:os';
import koffi from 'koffi';
import { HeedError } from '../error.ts';
import { formatShape } from './dims.ts';
import { misfit } from './dtype.ts';
import { type Library, loadLibrary, type Pointer } from './library.ts';
import type { DType } from './onnx.ts';

interface Runtime extends Library {
  env: Pointer;
  memory: Pointer;
  runOptions: Pointer;
  /** Threads of the one pool that all programs share. */
  threads: number;
}

let shared: Runtime | undefined;

/**
 * The engine. It starts on first use with HEED_THREADS threads, or as many as the machine offers. The whole process has
 * one thread pool: with a pool per session, their spinning threads compete (measured: 8 to 10 times slower).
 */
export function runtime(): Runtime {
  if (shared) return shared;
  const threads = threadCount();
  const library = loadLibrary();
  const { api, check, out } = library;
  const options = out('CreateThreadingOptions');
  check(api.SetGlobalIntraOpNumThreads(options, threads));
  check(api.SetGlobalInterOpNumThreads(options, 1));
  check(api.SetGlobalSpinControl(options, process.env.HEED_SPIN === '0' ? 0 : 1));
  const onlyErrors = 3;
  shared = {
    ...library,
    threads,
    env: out('CreateEnvWithGlobalThreadPools', onlyErrors, 'heed', options),
    memory: out('CreateCpuMemoryInfo', 1, 0),
    runOptions: out('CreateRunOptions'),
  };
  // one allocator for all programs with sharedMemory; it takes what is needed from the system, not the next power of 2
  const [sameAsRequested, byDefault] = [1, -1];
  const arena = out('CreateArenaCfg', 0, sameAsRequested, byDefault, byDefault);
  check(api.CreateAndRegisterAllocator(shared.env, shared.memory, arena));
  return shared;
}

/** The execution providers of the library, such as "CPUExecutionProvider". */
export function executionProviders(): string[] {
  const { api, check } = runtime();
  const [list, count] = [[null], [0]] as [Pointer[], number[]];
  check(api.GetAvailableProviders(list, count));
  const names = koffi.decode(list[0], koffi.array('const char *', count[0])) as string[];
  check(api.ReleaseAvailableProviders(list[0], count[0]));
  return names;
}

function threadCount(): number {
  const text = process.env.HEED_THREADS;
  if (text === undefined || text === '') return availableParallelism();
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new HeedError(`HEED_THREADS is "${text}"`, { hint: 'set it to a whole number from 1 to 1024, or unset it' });
  }
  return threads;
}

// element type in ONNX, and the typed array that holds it
const types = {
  float32: [1, Float32Array],
  uint8: [2, Uint8Array],
  int32: [6, Int32Array],
  int64: [7, BigInt64Array],
  bool: [9, Uint8Array],
  float16: [10, Uint16Array],
  uint32: [12, Uint32Array],
} as const;

/** The typed arrays that hold values. float16 is stored as its 16 bits, bool as bytes of 0 and 1. */
export type ValueData = InstanceType<(typeof types)[DType][1]>;
type DataOf<D extends DType> = InstanceType<(typeof types)[D][1]>;

/**
 * Zeros in memory that never moves, as ONNX Runtime requires: a small typed array (64 bytes or less) would be on V8's
 * heap and move; one over its own ArrayBuffer does not.
 */
export function allocate<D extends DType>(dtype: D, length: number): DataOf<D> {
  const make = types[dtype][1];
  const buffer = new ArrayBuffer(Math.max(64, length * make.BYTES_PER_ELEMENT));
  return new make(buffer, 0, length) as DataOf<D>;
}

/** Numbers with a shape, in memory that programs read and write in place. Dispose of it when done. */
export class Value<D extends DType = DType> {
  /** The type of its elements. */
  readonly dtype: D;
  /** The sizes of its axes, the outermost first. */
  readonly shape: readonly number[];
  /** The elements, row-major: read them and write into them. */
  readonly data: DataOf<D>;
  #handle: Pointer;

  /**
   * @param data - The elements, used in place, not copied; zeros by default. It must come from `allocate`, or be a part
   * of such memory.
   * @throws HeedError where the shape has a size that is not a whole number from 0, or the data does not fill it.
   */
  constructor(dtype: D, shape: readonly number[], data?: DataOf<D>) {
    const size = shape.reduce((a, b) => a * b, 1);
    if (!shape.every((d) => Number.isInteger(d) && d >= 0)) {
      throw new HeedError(`${formatShape(shape)} is not the shape of a value`);
    }
    const held = data ?? allocate(dtype, size);
    if (!(held instanceof types[dtype][1]) || held.length !== size) {
      throw new HeedError(
        `a value ${dtype}${formatShape(shape)} needs ${size} elements in a ${types[dtype][1].name}, ` +
          `got ${held.length} in a ${held.constructor.name}`,
      );
    }
    const { memory, out } = runtime();
    this.dtype = dtype;
    this.shape = [...shape];
    this.data = held;
    const dims = BigInt64Array.from(shape, BigInt);
    this.#handle = out(
      'CreateTensorWithDataAsOrtValue',
      memory,
      held,
      held.byteLength,
      dims,
      dims.length,
      types[dtype][0],
    );
  }

  /**
   * A value with a copy of the numbers.
   *
   * @throws HeedError where they do not fill the shape, or the dtype cannot hold one.
   */
  static of<D extends DType>(dtype: D, shape: readonly number[], numbers: ArrayLike<number | bigint>): Value<D> {
    const size = shape.reduce((a, b) => a * b, 1);
    if (numbers.length !== size) {
      throw new HeedError(`${dtype}${formatShape(shape)} needs ${size} numbers, got ${numbers.length}`);
    }
    const wrong = misfit(dtype, numbers);
    if (wrong !== undefined) {
      throw new HeedError(`${dtype}${formatShape(shape)} cannot hold ${wrong}`, {
        hint: 'pass numbers that its dtype can hold',
      });
    }
    const value = new Value(dtype, shape);
    if (value.data instanceof BigInt64Array)
      for (let i = 0; i < numbers.length; i++) value.data[i] = BigInt(numbers[i]);
    else (value.data as Float32Array).set(numbers as ArrayLike<number>);
    return value;
  }

  /** The native value, for the engine. @throws HeedError after the value was disposed of. */
  get handle(): Pointer {
    if (!this.#handle) {
      throw new HeedError(`a value ${this.dtype}${formatShape(this.shape)} was used after it was disposed of`);
    }
    return this.#handle;
  }

  /** The number in a value with one element, such as a loss. @throws HeedError if it has none or several. */
  item(): number {
    if (this.data.length !== 1) {
      throw new HeedError(`a value ${this.dtype}${formatShape(this.shape)} is not a single number`, {
        hint: 'read its data',
      });
    }
    return Number(this.data[0]);
  }

  /** Frees the value's memory; it cannot be used afterwards. */
  [Symbol.dispose](): void {
    if (this.#handle) runtime().api.ReleaseValue(this.#handle);
    this.#handle = null;
  }
}

/** Whether two values share memory. */
export const overlap = (a: Value, b: Value): boolean =>
  a.data.buffer === b.data.buffer &&
  a.data.byteOffset < b.data.byteOffset + b.data.byteLength &&
  b.data.byteOffset < a.data.byteOffset + a.data.byteLength;
