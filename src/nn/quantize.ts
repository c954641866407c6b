/**
 * Frozen weights in 8 or 4 bits: each block of a row has its own scale, and integers around the middle of their range.
 * They take a quarter or an eighth of the memory, and of the reads for each token (ONNX Runtime's MatMulNBits).
 */
import { constant, emit, input, type Tensor } from '../engine/graph.ts';
import { add, cast, mul, sub } from '../engine/ops/elementwise.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { concat, reshape, slice, split, unsqueeze } from '../engine/ops/shape.ts';
import type { Value } from '../engine/value.ts';
import { HeedError } from '../error.ts';
import type { Linear } from './decoder.ts';
import { type DecoderConfig, linearLookup } from './decoder-config.ts';

/** Bits of a quantized number. */
export type Bits = 4 | 8;

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

/** Rounds a weight [out, in] to blocks of whole numbers. A row's last block may be short. */
export function quantize(weight: Float32Array, [out, inner]: readonly number[], bits: Bits): QuantizedWeight {
  const middle = 2 ** (bits - 1);
  const blocks = blocksOf(inner);
  const data = new Uint8Array((out * blocks * BLOCK * bits) / 8);
  const scales = new Float32Array(out * blocks);
  for (let block = 0; block < scales.length; block++) {
    const row = Math.floor(block / blocks);
    const start = row * inner + (block % blocks) * BLOCK;
    const end = Math.min(start + BLOCK, (row + 1) * inner);
    // the number of largest size takes the lower end, which reaches one step further
    let extreme = 0;
    for (let i = start; i < end; i++) if (Math.abs(weight[i]) > Math.abs(extreme)) extreme = weight[i];
    const scale = Math.fround(extreme / -middle);
    scales[block] = scale;
    for (let i = start; i < end; i++) {
      const whole = scale === 0 ? middle : Math.round(weight[i] / scale) + middle;
      const number = Math.min(2 * middle - 1, Math.max(0, whole));
      const at = block * BLOCK + i - start;
      if (bits === 8) data[at] = number;
      else data[at >> 1] |= number << (4 * (at & 1));
    }
  }
  return { bits, shape: [out, inner], data, scales };
}

/**
 * x [..., in] → [..., out] by a frozen quantized weight. The gradient goes to x alone.
 *
 * @throws HeedError where the last axis of x is not the weight's `in`.
 */
export function quantizedProduct(x: Tensor, weight: QuantizedWeight): Tensor {
  const { graph } = x;
  const [out, inner] = weight.shape;
  if (x.shape.at(-1) !== inner) {
    throw new HeedError(`a quantized weight [${out}, ${inner}] does not take a last axis of ${x.shape.at(-1)}`);
  }
  const blocks = blocksOf(inner);
  const data = constant(graph, weight.data, [out, blocks, weight.data.length / out / blocks], 'uint8');
  const scales = constant(graph, weight.scales, [out, blocks]);
  const asBytes = 4; // products of bytes, which the processor has instructions for
  return emit('MatMulNBits', [x, data, scales], [...x.shape.slice(0, -1), out], {
    domain: 'com.microsoft',
    attributes: { K: inner, N: out, bits: weight.bits, block_size: BLOCK, accuracy_level: asBytes },
    vjp: (dy) => {
      const rows = reshape(dy, [-1, out]);
      return [reshape(matmul(rows, dequantized(data, scales, weight)), x.shape), undefined, undefined];
    },
  });
}

/** The weight [out, in] in float32, traced. */
function dequantized(data: Tensor, scales: Tensor, { bits, shape: [out, inner] }: QuantizedWeight): Tensor {
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

/** The maps of a layer that read the same tensor: each group is one product, whose result is split. */
const TOGETHER = [
  ['q_proj', 'k_proj', 'v_proj'],
  ['gate_proj', 'up_proj'],
];

let made = 0;

/** Linear maps where those that read the same tensor are one product, of weights one below the other. */
export function joinedLinear(config: DecoderConfig, product: (x: Tensor, names: readonly string[]) => Tensor): Linear {
  const lookUp = linearLookup(config);
  const id = made++;
  return (x, name) => {
    const at = name.lastIndexOf('.') + 1;
    const group = TOGETHER.find((ends) => ends.includes(name.slice(at))) ?? [name.slice(at)];
    const names = group.map((end) => name.slice(0, at) + end).filter(lookUp);
    // each product is once in a graph, whose memo is emptied where layers are traced again
    const { memo } = x.graph;
    const key = `joined ${id} ${x.name} ${names}`;
    const sizes = names.map((name) => lookUp(name).shape[0]);
    const parts = memo.get(key) ?? (names.length === 1 ? [product(x, names)] : split(product(x, names), sizes, -1));
    memo.set(key, parts);
    return parts[names.indexOf(name)];
  };
}

/** The linear maps of a model, quantized. `weights` are read once, at the first trace. */
export function quantizedLinear(config: DecoderConfig, weights: Readonly<Record<string, Value>>, bits: Bits): Linear {
  const lookUp = linearLookup(config);
  const quantized = new Map<string, QuantizedWeight>();
  const weightOf = (names: readonly string[]): QuantizedWeight => {
    const key = names.join();
    const weight =
      quantized.get(key) ??
      stacked(names.map((name) => quantize(weights[`${name}.weight`].data as Float32Array, lookUp(name).shape, bits)));
    quantized.set(key, weight);
    return weight;
  };
  const joined = joinedLinear(config, (x, names) => quantizedProduct(x, weightOf(names)));
  return (x, name) => {
    const { shape, bias } = lookUp(name);
    const y = joined(x, name);
    return bias ? add(y, input(x.graph, `${name}.bias`, [shape[0]])) : y;
  };
}

/** Weights of one width, one below the other. */
function stacked(weights: readonly QuantizedWeight[]): QuantizedWeight {
  if (weights.length === 1) return weights[0];
  const [{ bits, shape }] = weights;
  const data = new Uint8Array(weights.reduce((sum, { data }) => sum + data.length, 0));
  const scales = new Float32Array(weights.reduce((sum, { scales }) => sum + scales.length, 0));
  let [row, blocks, bytes] = [0, 0, 0];
  for (const weight of weights) {
    data.set(weight.data, bytes);
    scales.set(weight.scales, blocks);
    bytes += weight.data.length;
    blocks += weight.scales.length;
    row += weight.shape[0];
  }
  return { bits, shape: [row, shape[1]], data, scales };
}
