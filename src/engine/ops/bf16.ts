/**
 * Matrix products of bfloat16 copies, with float32 results. The copies are nodes of the graph: each tensor is copied once,
 * however many products read it in the forward and the backward pass. oneDNN computes both (onednn/ops.ts).
 */
import { emit, type Tensor } from '../graph.ts';

/** From this many multiplications on, a product pays for the copies of its operands and for being called by itself. */
const LEAST_MULTIPLICATIONS = 1 << 22;
const LEAST_SIZE = 32;

/** Whether the product [m, k] · [k, n] of two float32 tensors of a graph reads bfloat16 copies. */
export const isBf16Product = ({ graph, dtype }: Tensor, sizes: readonly unknown[]): boolean =>
  graph.precision === 'bf16' &&
  dtype === 'float32' &&
  sizes.every((size) => typeof size === 'number' && size >= LEAST_SIZE) &&
  (sizes as number[]).reduce((product, size) => product * size, 1) >= LEAST_MULTIPLICATIONS;

interface Bf16Options {
  /** Read the first operand transposed. */
  transposeA?: boolean;
  transposeB?: boolean;
}

/** A row [n] to add, and its gradient from that of the sum [m, n]. */
interface Bias {
  row: Tensor;
  gradient(cotangent: Tensor): Tensor;
}

/** The product of two float32 matrices, computed from their bfloat16 copies, plus a float32 row. */
export const bf16Product = (a: Tensor, b: Tensor, options: Bf16Options = {}, bias?: Bias): Tensor =>
  product(copied(a), copied(b), options, bias);

/** A matrix as bfloat16. Its gradient stays float32. */
const copied = (x: Tensor): Tensor =>
  emit('ToBf16', [x], x.shape, {
    domain: 'heed',
    dtype: 'bfloat16',
    attributes: { rows: x.shape[0] as number, columns: x.shape[1] as number },
    vjp: (dy) => [dy],
  });

function product(a: Tensor, b: Tensor, { transposeA = false, transposeB = false }: Bf16Options, bias?: Bias): Tensor {
  const [m, k] = (transposeA ? a.shape.toReversed() : a.shape) as number[];
  const n = b.shape[transposeB ? 0 : 1] as number;
  return emit(bias ? 'Bf16ProductAndBias' : 'Bf16Product', bias ? [a, b, bias.row] : [a, b], [m, n], {
    domain: 'heed',
    dtype: 'float32',
    attributes: { m, k, n, transA: Number(transposeA), transB: Number(transposeB) },
    vjp: (dy) => {
      const by = copied(dy);
      return [
        transposeA
          ? product(b, by, { transposeA: transposeB, transposeB: true })
          : product(by, b, { transposeB: !transposeB }),
        transposeB
          ? product(by, a, { transposeA: true, transposeB: transposeA })
          : product(a, by, { transposeA: !transposeA }),
        bias?.gradient(dy),
      ];
    },
  });
}
