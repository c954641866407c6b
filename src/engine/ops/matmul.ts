/** Matrix products. Operands can be read transposed in place, so gradients need no transposes. */
import { HeedError } from '../../error.ts';
import { device } from '../device.ts';
import { broadcastShapes, product, sameShape } from '../dims.ts';
import { checkDtypes, constant, describe, emit, type Tensor } from '../graph.ts';
import { bf16Product, isBf16Product } from './bf16.ts';
import { mul } from './elementwise.ts';
import { expand, reshape, sumTo, transpose } from './shape.ts';

interface MatmulOptions {
  /** Read the first operand's last two axes transposed. */
  transposeA?: boolean;
  transposeB?: boolean;
  /** Factor of the product. */
  scale?: number;
}

/** Batched matrix product [..., m, k] · [..., k, n] → [..., m, n]; leading axes broadcast. */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA: tA = false, transposeB: tB = false, scale = 1 } = options;
  checkDtypes('matmul', 'float', a, b);
  if (a.shape.length < 2 || b.shape.length < 2) {
    throw new HeedError(`matmul: ${describe(a)} and ${describe(b)} must have two axes or more`);
  }
  const [m, k] = tA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [k2, n] = tB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!];
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  if (k !== k2 || !batch) {
    const marks = [tA ? 'ᵀ' : '', tB ? 'ᵀ' : ''];
    throw new HeedError(`matmul: ${describe(a)}${marks[0]} and ${describe(b)}${marks[1]} do not fit`);
  }
  // A row and a column have the same memory layout, and ONNX Runtime is fast for vectors that need no transpose.
  if (tA && m === 1 && a.shape.length === 2) return matmul(reshape(a, [1, k]), b, { ...options, transposeA: false });
  if (tB && n === 1 && b.shape.length === 2) return matmul(a, reshape(b, [k, 1]), { ...options, transposeB: false });
  const leading = a.shape.slice(0, -2);
  if (sameShape(leading, b.shape.slice(0, -2)) && isBf16Product(a, [m, k, n], leading)) {
    return bf16Product(a, b, options);
  }
  const vjp = (dy: Tensor) => {
    const da = tA
      ? matmul(b, dy, { transposeA: tB, transposeB: true, scale })
      : matmul(dy, b, { transposeB: !tB, scale });
    const db = tB
      ? matmul(dy, a, { transposeA: true, transposeB: tA, scale })
      : matmul(a, dy, { transposeA: !tA, scale });
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  };
  const shape = [...batch, m, n];
  if (a.shape.length === 2 && b.shape.length === 2) {
    const attributes = { transA: Number(tA), transB: Number(tB), alpha: { float: scale } };
    return emit('Gemm', [a, b], shape, { attributes, vjp });
  }
  if (!tA && !tB && scale === 1) return emit('MatMul', [a, b], shape, { vjp });
  // ONNX Runtime 1.30 has no FusedMatMul for WebGPU: the operands would go to the CPU
  if (device() === 'webgpu') {
    const plain = matmul(tA ? matrixTransposed(a) : a, tB ? matrixTransposed(b) : b);
    return scale === 1 ? plain : mul(plain, scale);
  }
  const attributes = { transA: Number(tA), transB: Number(tB), alpha: { float: scale } };
  return emit('FusedMatMul', [a, b], shape, { attributes, domain: 'com.microsoft', vjp });
}

function matrixTransposed(x: Tensor): Tensor {
  const axes = [...x.shape.keys()];
  return transpose(x, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
}

/** x·Wᵀ + b for x [..., in], W [out, in], b [out]: one Gemm. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  checkDtypes('linear', 'float', x, weight, bias);
  const [out, inner] = weight.shape;
  if (weight.shape.length !== 2 || x.shape.length < 1 || x.shape.at(-1) !== inner) {
    throw new HeedError(`linear: ${describe(x)} does not fit the weight ${describe(weight)}`, {
      hint: 'the last axis of x must equal the second of the weight [out, in]',
    });
  }
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== out)) {
    throw new HeedError(`linear: the bias ${describe(bias)} does not fit the weight ${describe(weight)}`);
  }
  if (x.shape.length !== 2) {
    const rows = reshape(x, [product(x.shape.slice(0, -1)), inner]);
    return reshape(linear(rows, weight, bias), [...x.shape.slice(0, -1), out]);
  }
  const operand = out === 1 ? reshape(weight, [inner, 1]) : weight; // a vector is fast without a transpose
  const transposeB = operand === weight;
  if (isBf16Product(x, [x.shape[0], inner, out])) {
    return bf16Product(x, weight, { transposeB: true }, bias && { row: bias, gradient: sumRows });
  }
  return emit('Gemm', bias ? [x, operand, bias] : [x, operand], [x.shape[0], out], {
    attributes: { transB: Number(transposeB) },
    vjp: (dy) => [
      matmul(dy, operand, { transposeB: !transposeB }),
      transposeB ? weightGradient(dy, x) : matmul(x, dy, { transposeA: true }),
      bias && sumRows(dy),
    ],
  });
}

/** dyᵀ·x, [out, in]. A product with few columns is slow: for few inputs, xᵀ·dy is computed and transposed. */
function weightGradient(dy: Tensor, x: Tensor): Tensor {
  const [out, inner] = [dy.shape[1], x.shape[1]];
  if (typeof inner !== 'number' || typeof out !== 'number' || inner > 8 || out < 32) {
    return matmul(dy, x, { transposeA: true });
  }
  const rows = matmul(x, dy, { transposeA: true });
  // through a third axis: ONNX Runtime would undo a plain transpose of a product
  return reshape(transpose(reshape(rows, [inner, out, 1]), [1, 0, 2]), [out, inner]);
}

/** [n, out] → [out], as a product with ones, which is several times faster than ONNX Runtime's sum over rows. */
function sumRows(x: Tensor): Tensor {
  const [rows, out] = x.shape;
  if (x.dtype !== 'float32') return sumTo(x, [out]);
  return reshape(matmul(expand(constant(x.graph, [1], [1, 1]), [1, rows]), x), [out]);
}
