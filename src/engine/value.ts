/** Values: what programs read and write. */
import { HeedError } from '../error.ts';
import { formatShape } from './dims.ts';
import { misfit } from './dtype.ts';
import type { DType } from './onnx.ts';
import { runtime } from './runtime/current.ts';
import { newest } from './runtime/newest.ts';
import type { Handle, TypedArrayConstructor } from './runtime/runtime.ts';

// element type in ONNX, and the typed array that holds it
const types = {
  float32: [1, Float32Array],
  uint8: [2, Uint8Array],
  int32: [6, Int32Array],
  int64: [7, BigInt64Array],
  bool: [9, Uint8Array],
  float16: [10, Uint16Array],
  uint32: [12, Uint32Array],
  bfloat16: [16, Uint16Array],
} as const;

/** The typed arrays that hold values. float16 and bfloat16 are stored as their 16 bits, bool as bytes of 0 and 1. */
export type ValueData = InstanceType<(typeof types)[DType][1]>;
type DataOf<D extends DType> = InstanceType<(typeof types)[D][1]>;

/**
 * Zeros in memory that never moves, as ONNX Runtime requires. Parts of it (`subarray`) may be used in its place.
 */
export function allocate<D extends DType>(dtype: D, length: number): DataOf<D> {
  return runtime().allocate(valueArray(dtype), length);
}

/** The typed array that holds elements of a dtype. */
export const valueArray = <D extends DType>(dtype: D): TypedArrayConstructor<DataOf<D>> =>
  types[dtype][1] as unknown as TypedArrayConstructor<DataOf<D>>;

/** Numbers with a shape, in memory that programs read and write in place. Dispose of it when done. */
export class Value<D extends DType = DType> {
  /** The type of its elements. */
  readonly dtype: D;
  /** The sizes of its axes, the outermost first. */
  readonly shape: readonly number[];
  readonly #data: DataOf<D>;
  #handle: Handle;

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
    this.dtype = dtype;
    this.shape = [...shape];
    this.#data = held;
    this.#handle = runtime().createValue(types[dtype][0], shape, held);
  }

  /**
   * The elements, row-major: read them and write into them. Where programs run on a device, take it anew after each run:
   * that brings the elements back, and lets the next run see what you write.
   */
  get data(): DataOf<D> {
    return newest(this.#data);
  }

  /** The number of its elements. */
  get size(): number {
    return this.#data.length;
  }

  /** Whether its memory and another value's have a part in common, or all of it. */
  overlap(other: Value): 'none' | 'some' | 'all' {
    const [a, b] = [this.#data, other.#data];
    if (a.buffer !== b.buffer) return 'none';
    if (a.byteOffset === b.byteOffset && a.byteLength === b.byteLength) return 'all';
    const meet = a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
    return meet ? 'some' : 'none';
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

  /** Whether it was disposed of. */
  get isDisposed(): boolean {
    return this.#handle === null;
  }

  /** The value in the runtime, for the engine. @throws HeedError after the value was disposed of. */
  get handle(): Handle {
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
    if (this.#handle) runtime().releaseValue(this.#handle);
    this.#handle = null;
  }
}
