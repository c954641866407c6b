/** Ops that move elements without changing them. */
import { HeedError } from '../../error.ts';
import {
  addDims,
  broadcastShapes,
  type Dim,
  divideDims,
  formatShape,
  product,
  type Shape,
  sameShape,
  subtractDims,
} from '../dims.ts';
import { constant, describe, emit, emitMany, type Graph, resolve, shapeTensor, type Tensor } from '../graph.ts';

/** The axis counted from the front. */
export const axisOf = (op: string, x: Tensor, axis: number): number => {
  const rank = x.shape.length;
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new HeedError(`${op}: no axis ${axis} in ${describe(x)}`);
  return axis < 0 ? axis + rank : axis;
};

/** The same elements in another shape; one dimension may be −1 and is inferred. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const named = resolve(x.graph, shape);
  const others = product(named.filter((d) => d !== -1));
  const missing = named.includes(-1) ? divideDims(product(x.shape), others) : 1;
  const target = named.map((d) => (d === -1 ? (missing ?? -1) : d));
  if (target.includes(-1) || product(target) !== product(x.shape)) {
    throw new HeedError(`reshape: ${describe(x)} does not fit ${formatShape(shape)}`);
  }
  if (sameShape(target, x.shape)) return x;
  return emit('Reshape', [x, reshapeTarget(x, target)], target, {
    attributes: { allowzero: 1 }, // a dimension may be empty: 0 is 0, not "as it was"
    vjp: (dy) => [reshape(dy, x.shape)],
  });
}

/** A constant target if at most one dimension is symbolic, so that no shape is computed at run time. */
function reshapeTarget(x: Tensor, shape: Shape): Tensor {
  const symbolic = shape.filter((d) => typeof d === 'string');
  if (symbolic.length > 1 || (symbolic.length === 1 && shape.includes(0))) return shapeTensor(x.graph, shape);
  return constant(
    x.graph,
    shape.map((d) => (typeof d === 'string' ? -1 : d)),
    [shape.length],
    'int64',
  );
}

/** Axes in another order. */
export function transpose(x: Tensor, order: readonly number[]): Tensor {
  if (order.length !== x.shape.length || [...order].sort((a, b) => a - b).some((axis, i) => axis !== i)) {
    throw new HeedError(`transpose: [${order}] is not an order of the axes of ${describe(x)}`);
  }
  if (order.every((axis, i) => axis === i)) return x;
  const inverse = order.map((_, i) => order.indexOf(i));
  return emit(
    'Transpose',
    [x],
    order.map((axis) => x.shape[axis]),
    {
      attributes: { perm: [...order] },
      vjp: (dy) => [transpose(dy, inverse)],
    },
  );
}

/** Broadcast to a shape. */
export function expand(x: Tensor, to: Shape): Tensor {
  const shape = resolve(x.graph, to);
  if (sameShape(x.shape, shape)) return x;
  const together = broadcastShapes(x.shape, shape);
  if (!together || !sameShape(together, shape)) {
    throw new HeedError(`expand: ${describe(x)} does not broadcast to ${formatShape(shape)}`);
  }
  return emit('Expand', [x, shapeTensor(x.graph, shape)], shape, { vjp: (dy) => [sumTo(dy, x.shape)] });
}

/** The inverse of expand, and the gradient of broadcasting: sums over the axes along which `shape` was broadcast. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const lead = x.shape.length - shape.length;
  const axes = x.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  if (axes.length === 0) return x;
  const keptShape = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
  const summed = emit('ReduceSum', [x, constant(x.graph, axes, [axes.length], 'int64')], keptShape, {
    attributes: { keepdims: 1 },
    vjp: (dy) => [expand(dy, x.shape)],
  });
  return reshape(summed, shape);
}

/** Tensors end to end along an axis; the other dimensions must be equal. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  if (parts.length === 0) throw new HeedError('concat: nothing to join');
  const at = axisOf('concat', parts[0], axis);
  const others = (t: Tensor) => t.shape.filter((_, i) => i !== at);
  for (const t of parts) {
    if (t.dtype !== parts[0].dtype || !sameShape(others(t), others(parts[0]))) {
      throw new HeedError(`concat: ${describe(t)} does not join ${describe(parts[0])} along axis ${axis}`);
    }
  }
  if (parts.length === 1) return parts[0];
  const shape = parts[0].shape.map((d, i) => (i === at ? parts.map((t) => t.shape[at]).reduce(addDims) : d));
  return emit('Concat', [...parts], shape, {
    attributes: { axis: at },
    vjp: (dy) =>
      split(
        dy,
        parts.map((t) => t.shape[at]),
        at,
      ),
  });
}

/** The inverse of concat: pieces of the sizes `into` along an axis. */
export function split(x: Tensor, into: Shape, axis: number): Tensor[] {
  const at = axisOf('split', x, axis);
  const sizes = resolve(x.graph, into);
  const wrong = sizes.some((d) => typeof d === 'number' && !(Number.isInteger(d) && d >= 0));
  if (wrong || sizes.reduce(addDims, 0) !== x.shape[at]) {
    throw new HeedError(`split: ${formatShape(sizes)} does not add up to axis ${axis} of ${describe(x)}`);
  }
  if (sizes.length === 1) return [x];
  const outputs = sizes.map((size) => ({ shape: x.shape.map((d, i) => (i === at ? size : d)) }));
  const pieces: Tensor[] = emitMany('Split', [x, shapeTensor(x.graph, sizes)], outputs, {
    attributes: { axis: at },
    vjp: (dys) => {
      const { dtype } = dys.find((dy) => dy !== undefined)!; // not always that of the pieces: see ops/bf16.ts
      return [
        concat(
          dys.map((dy, i) => dy ?? zerosLike(pieces[i], dtype)),
          at,
        ),
      ];
    },
  });
  return pieces;
}

/** Zeros of a tensor's shape, and of its dtype unless another is given. */
export function zerosLike(like: Tensor, dtype = like.dtype): Tensor {
  const zero = constant(like.graph, [0], [], dtype);
  return like.shape.length === 0 ? zero : emit('Expand', [zero, shapeTensor(like.graph, like.shape)], like.shape);
}

/** 0, 1, …, size − 1 as int32: positions, and by comparing two of them a causal mask. */
export function range(graph: Graph, size: Dim): Tensor {
  const [length] = resolve(graph, [size]);
  const bound = (n: number) => constant(graph, [n], [], 'int64');
  const end = typeof length === 'number' ? bound(length) : reshape(shapeTensor(graph, [length]), []);
  const indices = emit('Range', [bound(0), end, bound(1)], [length]);
  return emit('Cast', [indices], [length], { attributes: { to: 6 }, dtype: 'int32' });
}

/** Elements [start, end) along an axis. Negative bounds count from the end. A symbolic axis needs a symbolic `end`. */
export function slice(x: Tensor, axis: number, start: Dim, end: Dim): Tensor {
  const at = axisOf('slice', x, axis);
  const size = x.shape[at];
  const fromEnd = (d: Dim) => (typeof d === 'number' && d < 0 ? addDims(size, d) : d);
  const [from, to] = resolve(x.graph, [start, end]).map(fromEnd);
  const length = subtractDims(to, from);
  const outside = (d: Dim) => typeof d === 'number' && (d < 0 || (typeof size === 'number' && d > size));
  if (outside(from) || outside(to) || (typeof length === 'number' && length < 0)) {
    throw new HeedError(`slice: [${start}, ${end}) is outside axis ${axis} of ${describe(x)}`);
  }
  if (from === 0 && to === size) return x;
  const vector = (d: Dim) => shapeTensor(x.graph, [d]);
  const shape = x.shape.map((d, i) => (i === at ? length : d));
  return emit('Slice', [x, vector(from), vector(to), vector(at)], shape, {
    vjp: (dy) => {
      const padding = [from, subtractDims(size, to)];
      const pad = (d: Dim) => x.shape.map((other, i) => (i === at ? d : other));
      const zero = constant(x.graph, [0], [], dy.dtype); // not always that of x: see ops/bf16.ts
      const blank = (d: Dim) => emit('Expand', [zero, shapeTensor(x.graph, pad(d))], pad(d));
      const parts = [
        padding[0] === 0 ? [] : [blank(padding[0])],
        [dy],
        padding[1] === 0 ? [] : [blank(padding[1])],
      ].flat();
      return [concat(parts, at)];
    },
  });
}

/** A new axis of size 1; −1 is behind the last. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  const rank = x.shape.length + 1;
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new HeedError(`unsqueeze: no place for axis ${axis} in ${describe(x)}`);
  }
  const at = axis < 0 ? axis + rank : axis;
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/** Without an axis of size 1. */
export function squeeze(x: Tensor, axis: number): Tensor {
  const at = axisOf('squeeze', x, axis);
  if (x.shape[at] !== 1) throw new HeedError(`squeeze: axis ${axis} of ${describe(x)} is not 1`);
  return reshape(
    x,
    x.shape.filter((_, i) => i !== at),
  );
}
