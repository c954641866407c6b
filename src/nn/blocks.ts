/**
 * Weights [out, in] in 8 or 4 bits: each block of a row has its own scale, and whole numbers around the middle of their
 * range. They take a quarter or an eighth of the memory (ONNX Runtime's MatMulNBits).
 */
import type { Bits } from '../engine/dtype.ts';
import { constant, emit, input, type Tensor } from '../engine/graph.ts';
import { add, cast, mul, sub } from '../engine/ops/elementwise.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { concat, reshape, slice, unsqueeze } from '../engine/ops/shape.ts';
import { HeedError } from '../error.ts';

/** A weight in blocks of whole numbers. */
export interface QuantizedWeight {
  /** Bits of each number. */
  bits: Bits;
  /** [out, in] of the weight. */
  shape: readonly [number, number];
  /** The numbers, [out, ⌈in / BLOCK⌉, BLOCK · bits / 8]. Of two in a byte, the first is in the low half. */
  data: Uint8Array;
  /** The blocks' scales, [out, ⌈in / BLOCK⌉]. */
  scales: Float32Array;
}

/** Numbers that share a scale. */
const BLOCK = 32;

const blocksOf = (inner: number) => Math.ceil(inner / BLOCK);
const bytesOfRow = (inner: number, bits: Bits) => (blocksOf(inner) * BLOCK * bits) / 8;

/** Rounds a weight [out, in] to blocks of whole numbers. A row's last block may be short. */
export function quantize(weight: Float32Array, [out, inner]: readonly number[], bits: Bits): QuantizedWeight {
  const data = new Uint8Array(out * bytesOfRow(inner, bits));
  const scales = new Float32Array(out * blocksOf(inner));
  const quantized: QuantizedWeight = { bits, shape: [out, inner], data, scales };
  quantizeRows(weight, quantized, 0, out);
  return quantized;
}

/** Rounds the rows from `begin` to before `end` of a weight into blocks whose numbers are 0 so far. */
export function quantizeRows(weight: Float32Array, into: QuantizedWeight, begin: number, end: number): void {
  const { bits, shape, data, scales } = into;
  const [, inner] = shape;
  const middle = 2 ** (bits - 1);
  const blocks = blocksOf(inner);
  for (let block = begin * blocks; block < end * blocks; block++) {
    const row = Math.floor(block / blocks);
    const start = row * inner + (block % blocks) * BLOCK;
    const stop = Math.min(start + BLOCK, (row + 1) * inner);
    // the number of largest size takes the lower end, which reaches one step further
    let extreme = 0;
    for (let i = start; i < stop; i++) if (Math.abs(weight[i]) > Math.abs(extreme)) extreme = weight[i];
    const scale = Math.fround(extreme / -middle);
    scales[block] = scale;
    for (let i = start; i < stop; i++) {
      const whole = scale === 0 ? middle : Math.round(weight[i] / scale) + middle;
      const number = Math.min(2 * middle - 1, Math.max(0, whole));
      const at = block * BLOCK + i - start;
      if (bits === 8) data[at] = number;
      else data[at >> 1] |= number << (4 * (at & 1));
    }
  }
}

/** The numbers that blocks stand for, row by row. */
export function dequantize({ bits, shape: [out, inner], data, scales }: QuantizedWeight): Float32Array {
  const middle = 2 ** (bits - 1);
  const blocks = blocksOf(inner);
  const weight = new Float32Array(out * inner);
  for (let row = 0, i = 0; row < out; row++) {
    for (let column = 0; column < inner; column++, i++) {
      const at = row * blocks * BLOCK + column;
      const number = bits === 8 ? data[at] : (data[at >> 1] >> (4 * (at & 1))) & 15;
      weight[i] = (number - middle) * scales[Math.floor(at / BLOCK)];
    }
  }
  return weight;
}

/** The shapes of what holds a weight [out, in] in blocks. */
export const blockShapes = ([out, inner]: readonly number[], bits: Bits) => ({
  numbers: [out, blocksOf(inner), bytesOfRow(inner, bits) / blocksOf(inner)],
  scales: [out, blocksOf(inner)],
});

/** The names of the inputs that hold a weight in blocks. */
export const blockNames = (weight: string) => ({ numbers: `${weight}.blocks`, scales: `${weight}.scales` });

/**
 * x [..., in] → [..., out] by a frozen quantized weight, which becomes part of the program. x is rounded to bytes. The
 * gradient goes to x alone.
 *
 * @throws HeedError where the last axis of x is not the weight's `in`.
 */
export function quantizedProduct(x: Tensor, weight: QuantizedWeight): Tensor {
  const { graph } = x;
  const { bits, shape } = weight;
  const { numbers, scales } = blockShapes(shape, bits);
  return product(
    x,
    constant(graph, weight.data, numbers, 'uint8'),
    constant(graph, weight.scales, scales),
    weight,
    IN_BYTES,
  );
}

/** Products of bytes, which the processor has instructions for. */
const IN_BYTES = { accuracy_level: 4 };

/**
 * The same by a weight that the graph reads (see `blockNames`), so that programs share its memory. The product is exactly
 * that of the numbers that the blocks stand for, or, far faster for few rows where the weight is fixed, `inBytes`.
 *
 * @throws HeedError where the last axis of x is not the weight's `in`.
 */
export function blockProduct(
  x: Tensor,
  weight: string,
  { shape, bits }: Pick<QuantizedWeight, 'bits' | 'shape'>,
  inBytes = false,
): Tensor {
  const { graph } = x;
  const names = blockNames(weight);
  const shapes = blockShapes(shape, bits);
  const numbers = input(graph, names.numbers, shapes.numbers, 'uint8');
  return product(x, numbers, input(graph, names.scales, shapes.scales), { bits, shape }, inBytes ? IN_BYTES : {});
}

function product(
  x: Tensor,
  numbers: Tensor,
  scales: Tensor,
  weight: Pick<QuantizedWeight, 'bits' | 'shape'>,
  attributes: Record<string, number> = {},
): Tensor {
  const [out, inner] = weight.shape;
  if (x.shape.at(-1) !== inner) {
    throw new HeedError(`a quantized weight [${out}, ${inner}] does not take a last axis of ${x.shape.at(-1)}`);
  }
  // traced before what the gradient comes from: ONNX Runtime then widens a weight just before it is used, and frees it
  const wide = dequantized(numbers, scales, weight);
  return emit('MatMulNBits', [x, numbers, scales], [...x.shape.slice(0, -1), out], {
    domain: 'com.microsoft',
    attributes: { K: inner, N: out, bits: weight.bits, block_size: BLOCK, ...attributes },
    vjp: (dy) => [reshape(matmul(reshape(dy, [-1, out]), wide), x.shape), undefined, undefined],
  });
}

/** The weight [out, in] in float32, traced. */
function dequantized(
  data: Tensor,
  scales: Tensor,
  { bits, shape: [out, inner] }: Pick<QuantizedWeight, 'bits' | 'shape'>,
): Tensor {
  const blocks = blocksOf(inner);
  let numbers = cast(data, 'float32');
  if (bits === 4) {
    const high = cast(
      emit('BitShift', [data, constant(data.graph, [4], [], 'uint8')], data.shape, {
        attributes: { direction: 'RIGHT' },
      }),
      'float32',
    );
    const low = sub(numbers, mul(high, 16));
    numbers = reshape(concat([unsqueeze(low, -1), unsqueeze(high, -1)], -1), [out, blocks, BLOCK]);
  }
  const wide = reshape(mul(add(numbers, -(2 ** (bits - 1))), unsqueeze(scales, -1)), [out, blocks * BLOCK]);
  return slice(wide, 1, 0, inner);
}
