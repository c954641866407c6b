/** Reductions over axes, and functions of them. */
import { HeedError } from '../../error.ts';
import { divideDims, product, type Shape } from '../dims.ts';
import { checkDtypes, constant, describe, emit, emitMany, scalar, type Tensor } from '../graph.ts';
import {
  add,
  cast,
  div,
  equal,
  exp,
  greaterOrEqual,
  log,
  mul,
  square,
  stopGradient,
  sub,
  where,
} from './elementwise.ts';
import { expand, reshape } from './shape.ts';

/** Which axes a reduction takes, and whether they stay. */
export interface ReduceOptions {
  /** Axes to reduce, negative from the end; all by default. */
  axes?: readonly number[];
  /** Keep the reduced axes with size 1. */
  keepDims?: boolean;
}

function reducedShape(op: string, x: Tensor, { axes, keepDims = false }: ReduceOptions) {
  const rank = x.shape.length;
  const chosen = (axes ?? x.shape.map((_, i) => i)).map((a) => {
    if (!Number.isInteger(a) || a < -rank || a >= rank) throw new HeedError(`${op}: no axis ${a} in ${describe(x)}`);
    return a < 0 ? a + rank : a;
  });
  if (new Set(chosen).size < chosen.length) throw new HeedError(`${op}: axes [${axes}] of ${describe(x)} repeat`);
  const keptShape: Shape = x.shape.map((d, i) => (chosen.includes(i) ? 1 : d));
  return {
    axes: chosen,
    keptShape,
    shape: keepDims ? keptShape : x.shape.filter((_, i) => !chosen.includes(i)),
    keepDims,
  };
}

function reduce(op: string, x: Tensor, options: ReduceOptions, gradient: (dyKept: Tensor, yKept: Tensor) => Tensor) {
  checkDtypes(op, op === 'ReduceMean' ? 'float' : 'number', x);
  const { axes, keptShape, shape, keepDims } = reducedShape(op, x, options);
  if (axes.length === 0) return x;
  const y: Tensor = emit(op, [x, constant(x.graph, axes, [axes.length], 'int64')], shape, {
    attributes: { keepdims: keepDims ? 1 : 0 },
    vjp: (dy) => [gradient(reshape(dy, keptShape), reshape(y, keptShape))],
  });
  return y;
}

/** The sum of the elements. */
export const sum = (x: Tensor, options: ReduceOptions = {}): Tensor =>
  reduce('ReduceSum', x, options, (dy) => expand(dy, x.shape));

/** The mean of the elements. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('ReduceMean', x, options, (dy) => expand(div(dy, countRatio(x, dy)), x.shape));
}

/** The number of elements of x for one of y: a number if the shapes determine it, else a scalar read at run time. */
export function countRatio(x: Tensor, y: Tensor): Tensor | number {
  const ratio = divideDims(product(x.shape), product(y.shape));
  if (typeof ratio === 'number') return ratio;
  const size = (t: Tensor) => cast(emit('Size', [t], [], { dtype: 'int64' }), 'float32');
  return div(size(x), size(y));
}

/** The k largest elements along the last axis, in descending order. It has no gradient. */
export function topValues(x: Tensor, k: number): Tensor {
  checkDtypes('topValues', 'float', x);
  const shape: Shape = [...x.shape.slice(0, -1), k];
  return emitMany('TopK', [x, constant(x.graph, [k], [1], 'int64')], [{ shape }, { shape, dtype: 'int64' }])[0];
}

/** The largest element. If several are equal, they share the gradient equally. */
export const max = (x: Tensor, options: ReduceOptions = {}): Tensor => extreme('ReduceMax', x, options);
/** The smallest element. If several are equal, they share the gradient equally. */
export const min = (x: Tensor, options: ReduceOptions = {}): Tensor => extreme('ReduceMin', x, options);

const extreme = (op: string, x: Tensor, options: ReduceOptions): Tensor =>
  reduce(op, x, options, (dy, y) => {
    const chosen = cast(equal(x, y), 'float32');
    return mul(div(dy, sum(chosen, { axes: options.axes, keepDims: true })), chosen);
  });

/** Population variance (divided by n). */
export function variance(x: Tensor, options: ReduceOptions = {}): Tensor {
  return mean(square(sub(x, mean(x, { axes: options.axes, keepDims: true }))), options);
}

/** log Σ exp, shifted by the largest element so that it neither overflows nor loses the small ones. */
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  const shift = stopGradient(max(x, { axes: options.axes, keepDims: true }));
  const total = add(log(sum(exp(sub(x, shift)), { axes: options.axes, keepDims: true })), shift);
  return reshape(total, reducedShape('logSumExp', x, options).shape);
}

/** Index of the largest element along an axis, int64; the first if several are equal. */
export function argmax(x: Tensor, axis = -1): Tensor {
  checkDtypes('argmax', 'number', x);
  const { axes, shape } = reducedShape('argmax', x, { axes: [axis] });
  return emit('ArgMax', [x], shape, { attributes: { axis: axes[0], keepdims: 0 }, dtype: 'int64' });
}

/** Running sum along an axis; `reverse` sums from the end. */
export function cumulativeSum(x: Tensor, axis: number, { reverse = false } = {}): Tensor {
  checkDtypes('cumulativeSum', 'number', x);
  const { axes } = reducedShape('cumulativeSum', x, { axes: [axis] });
  return emit('CumSum', [x, constant(x.graph, axes, [], 'int64')], x.shape, {
    attributes: { reverse: reverse ? 1 : 0 },
    vjp: (dy) => [cumulativeSum(dy, axis, { reverse: !reverse })],
  });
}

/** Mean of the elements where the mask (float, 0 or 1, of x's shape or broadcasting to it) is 1. */
export function maskedMean(x: Tensor, mask: Tensor, options: ReduceOptions = {}): Tensor {
  const total = sum(expand(mask, x.shape), options);
  const count = where(greaterOrEqual(total, 1), total, scalar(total, 1));
  return div(sum(mul(x, mask), options), count);
}
