/** Values in memory that two threads of a process share. */
import { koffi } from './library.ts';
import type { DType } from './onnx.ts';
import { Value, valueArray } from './value.ts';

/** Where a value's elements are. */
export interface ValueAddress {
  dtype: DType;
  shape: readonly number[];
  address: bigint;
}

/** Where a value's elements are, for `valueAt` in another thread. */
export const valueAddress = ({ dtype, shape, data }: Value): ValueAddress => ({
  dtype,
  shape,
  address: koffi().address(data),
});

/** A value of the same memory, in this thread. That in the other must outlive it, and the two not write at once. */
export function valueAtAddress({ dtype, shape, address }: ValueAddress): Value {
  const make = valueArray(dtype);
  const size = shape.reduce((a, b) => a * b, 1);
  return new Value(dtype, shape, new make(koffi().view(address, size * make.BYTES_PER_ELEMENT)));
}
