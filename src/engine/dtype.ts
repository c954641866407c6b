/** What numbers can be: the precision of products, and the range of each dtype. */
import type { DType } from './onnx.ts';

/** What matrix products compute with. Weights, moments, losses and all other operations are float32 in any case. */
export type Precision = 'fp32' | 'bf16';

const ranges: Partial<Record<DType, [number, number]>> = {
  bool: [0, 1],
  uint8: [0, 255],
  float16: [0, 65535], // written and read as its 16 bits
  bfloat16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

/** The first of the numbers that the dtype cannot hold; undefined if it holds all. */
export function misfit(dtype: DType, numbers: ArrayLike<number | bigint>): number | bigint | undefined {
  const range = ranges[dtype];
  for (let i = 0; i < numbers.length; i++) {
    const n = numbers[i];
    if (typeof n === 'bigint') {
      if (dtype !== 'int64') return n;
    } else if (range && !(Number.isInteger(n) && n >= range[0] && n <= range[1])) return n;
  }
  return undefined;
}

/** Bits of a quantized number. */
export type Bits = 4 | 8;
