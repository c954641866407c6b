/**
 * Randomness inside a program: a hash of (seed, position). The same seed gives the same numbers for any thread count,
 * nothing has to be saved, and a resumed run draws what an uninterrupted one would.
 */
import { HeedError } from '../../error.ts';
import { product, type Shape } from '../dims.ts';
import { checkDtypes, constant, describe, emit, resolve, type Tensor } from '../graph.ts';
import { add, cast, greaterOrEqual, mul, where } from './elementwise.ts';
import { range, reshape } from './shape.ts';

/** Uniform numbers in [0, 1). `seed` is an int32 scalar input; vary it by step and by place of use (`stream`). */
export function uniform(seed: Tensor, shape: Shape, stream = 0): Tensor {
  if (seed.dtype !== 'int32' || seed.shape.length !== 0) {
    throw new HeedError(`uniform: the seed must be an int32 scalar, got ${describe(seed)}`);
  }
  const { graph } = seed;
  const size = product(resolve(graph, shape));
  const integer = (value: number) => constant(graph, [value | 0], [], 'int32');
  const position = range(graph, size);
  const start = add(mul(seed, integer(0x9e3779b9)), integer(Math.imul(stream + 1, 0x85ebca6b)));
  // splitmix32's finalizer; int32 products wrap, shifts and xors need uint32
  let x = add(mul(position, integer(0x9e3779b1)), start);
  for (const factor of [0x21f0aaad, 0x735a2d97]) x = mul(xorShift(x), integer(factor));
  const bits = shift(cast(xorShift(x), 'uint32'), 8); // 24 bits: every value is a float32
  return reshape(mul(cast(cast(bits, 'int32'), 'float32'), 2 ** -24), shape);
}

const shift = (x: Tensor, by: number): Tensor =>
  emit('BitShift', [x, constant(x.graph, [by], [], 'uint32')], x.shape, { attributes: { direction: 'RIGHT' } });

function xorShift(x: Tensor): Tensor {
  const bits = cast(x, 'uint32');
  return cast(emit('BitwiseXor', [bits, shift(bits, 15)], x.shape), 'int32');
}

/** Zeroes each element with probability `rate` and scales the rest by 1/(1 − rate) (Srivastava et al. 2014). */
export function dropout(x: Tensor, rate: number, seed: Tensor, stream = 0): Tensor {
  checkDtypes('dropout', 'float', x);
  if (!(rate >= 0 && rate < 1)) throw new HeedError(`dropout: the rate must lie in [0, 1), got ${rate}`);
  if (rate === 0) return x;
  const mask = greaterOrEqual(uniform(seed, x.shape, stream), rate);
  return mul(x, where(mask, constant(x.graph, [1 / (1 - rate)], []), constant(x.graph, [0], [])));
}
