/** Reading and writing at indices. Indices are int32 or int64 tensors. */
import { HeedError } from '../../error.ts';
import { product, type Shape, sameShape } from '../dims.ts';
import { constant, describe, emit, type Tensor } from '../graph.ts';
import { cast } from './elementwise.ts';
import { axisOf, expand, reshape, unsqueeze, zerosLike } from './shape.ts';

const checkIndices = (op: string, indices: Tensor) => {
  if (indices.dtype !== 'int32' && indices.dtype !== 'int64') {
    throw new HeedError(`${op}: indices must be int32 or int64, got ${describe(indices)}`);
  }
};

/** Rows of a table: table [n, ...rest], indices [...i] → [...i, ...rest]. An embedding is this. */
export function gather(table: Tensor, indices: Tensor): Tensor {
  checkIndices('gather', indices);
  if (table.shape.length < 1) throw new HeedError(`gather: ${describe(table)} has no rows`);
  const shape: Shape = [...indices.shape, ...table.shape.slice(1)];
  return emit('Gather', [table, indices], shape, {
    attributes: { axis: 0 },
    vjp: (dy) => [scatterAdd(zerosLike(table), indices, dy)],
  });
}

/** Rows of x [n, ...rest] at distinct indices [m]: their gradient is put back without additions. */
export function takeRows(x: Tensor, indices: Tensor): Tensor {
  checkIndices('takeRows', indices);
  if (x.shape.length < 1 || indices.shape.length !== 1) {
    throw new HeedError(`takeRows: ${describe(x)} has no rows at ${describe(indices)}`);
  }
  return emit('Gather', [x, indices], [indices.shape[0], ...x.shape.slice(1)], {
    attributes: { axis: 0 },
    vjp: (dy) => [
      emit('ScatterND', [zerosLike(x), cast(unsqueeze(indices, 1), 'int64'), dy], x.shape, {
        vjp: (ddx) => [undefined, undefined, takeRows(ddx, indices)],
      }),
    ],
  });
}

/** Adds rows to a table at indices: the inverse of gather. Rows that occur twice are added twice. */
export function scatterAdd(table: Tensor, indices: Tensor, rows: Tensor): Tensor {
  checkIndices('scatterAdd', indices);
  const fits = sameShape(rows.shape, [...indices.shape, ...table.shape.slice(1)]);
  if (table.shape.length < 1 || rows.dtype !== table.dtype || !fits) {
    throw new HeedError(`scatterAdd: rows ${describe(rows)} do not fit ${describe(table)} at ${describe(indices)}`);
  }
  // By element, in one thread: ONNX Runtime's ScatterND adds rows in several at once and loses additions (1.30).
  const [count, width] = [product(indices.shape), product(table.shape.slice(1))];
  const at = expand(reshape(indices, [count, 1]), [count, width]);
  const flat = reshape(table, [table.shape[0], width]);
  return reshape(scatterElementsAdd(flat, at, reshape(rows, [count, width]), 0), table.shape);
}

/** x at one index along an axis for each place of `indices` (PyTorch's gather): all other axes correspond. */
export function gatherElements(x: Tensor, indices: Tensor, axis: number): Tensor {
  checkIndices('gatherElements', indices);
  const at = axisOf('gatherElements', x, axis);
  if (indices.shape.length !== x.shape.length || x.shape.some((d, i) => i !== at && d !== indices.shape[i])) {
    throw new HeedError(`gatherElements: ${describe(indices)} does not fit ${describe(x)} along axis ${axis}`);
  }
  return emit('GatherElements', [x, indices], indices.shape, {
    attributes: { axis: at },
    vjp: (dy) => [scatterElementsAdd(zerosLike(x), indices, dy, at)],
  });
}

/** Adds values at one index along an axis for each place of `indices`: the inverse of gatherElements. */
export function scatterElementsAdd(x: Tensor, indices: Tensor, values: Tensor, axis: number): Tensor {
  const at = scatteredAxis('scatterElementsAdd', x, indices, values, axis);
  return emit('ScatterElements', [x, indices, values], x.shape, {
    attributes: { axis: at, reduction: 'add' },
    vjp: (dy) => [dy, undefined, gatherElements(dy, indices, at)],
  });
}

/** Puts values at one index along an axis for each place of `indices`. An index must not occur twice. */
export function scatterElements(x: Tensor, indices: Tensor, values: Tensor, axis: number): Tensor {
  const at = scatteredAxis('scatterElements', x, indices, values, axis);
  return emit('ScatterElements', [x, indices, values], x.shape, {
    attributes: { axis: at },
    vjp: (dy) => [scatterElements(dy, indices, zerosLike(values), at), undefined, gatherElements(dy, indices, at)],
  });
}

function scatteredAxis(op: string, x: Tensor, indices: Tensor, values: Tensor, axis: number): number {
  checkIndices(op, indices);
  const at = axisOf(op, x, axis);
  const others = (t: Tensor) => t.shape.filter((_, i) => i !== at);
  if (
    !sameShape(indices.shape, values.shape) ||
    values.dtype !== x.dtype ||
    x.shape.length !== values.shape.length ||
    !sameShape(others(x), others(values))
  ) {
    throw new HeedError(
      `${op}: ${describe(values)} at ${describe(indices)} does not fit ${describe(x)} along axis ${axis}`,
    );
  }
  return at;
}

/** indices [...i] → [...i, depth] of 0 and 1, float32. */
export function oneHot(indices: Tensor, depth: number): Tensor {
  checkIndices('oneHot', indices);
  if (!Number.isInteger(depth) || depth < 1) throw new HeedError(`oneHot: depth ${depth} for ${describe(indices)}`);
  const { graph } = indices;
  return emit(
    'OneHot',
    [cast(indices, 'int64'), constant(graph, [depth], [1], 'int64'), constant(graph, [0, 1], [2])],
    [...indices.shape, depth],
    {
      attributes: { axis: -1 },
      dtype: 'float32',
    },
  );
}
