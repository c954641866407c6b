/**
 * Matrix products of bfloat16 copies, with float32 results. The copies are nodes of the graph: each tensor is copied once,
 * however many products read it in the forward and the backward pass. What lies between two products can stay bfloat16
 * (`narrowed`): half the memory, and half the time of each pass. oneDNN computes all of it (onednn/operators.ts).
 *
 * Cotangents are float32 for every tensor of the graph. That of a bfloat16 tensor is a `Cast` of a bfloat16 one, which
 * `copied` finds again: the `Cast` itself is then never run.
 */
import { type Shape, product as sizeOf } from '../dims.ts';
import { emit, type Tensor } from '../graph.ts';
import { BF16_ACTIVATIONS, type Bf16Activation } from '../onednn/activations.ts';
import { reshape } from './shape.ts';

/** From this many multiplications on, a product pays for the copies of its operands and for being called by itself. */
const LEAST_MULTIPLICATIONS = 1 << 22;
const LEAST_SIZE = 32;
/** From this many numbers on, a pass over bfloat16 pays for being called by itself. */
const LEAST_NUMBERS = 1 << 16;

/** Whether the product [m, k] · [k, n] of two float32 tensors, or `leading` such products, reads bfloat16 copies. */
export const isBf16Product = ({ graph, dtype }: Tensor, sizes: Shape, leading: Shape = []): boolean =>
  graph.precision === 'bf16' &&
  dtype === 'float32' &&
  sizes.every((size) => typeof size === 'number' && size >= LEAST_SIZE) &&
  hasAtLeast(LEAST_MULTIPLICATIONS, [...leading, ...sizes]);

/** Whether passes over a float32 tensor of a graph pay as passes over bfloat16. */
export const isBf16Pass = ({ graph, dtype, shape }: Tensor): boolean =>
  graph.precision === 'bf16' && dtype === 'float32' && hasAtLeast(LEAST_NUMBERS, shape);

/** Whether the product of the sizes is known, and so large. */
function hasAtLeast(least: number, sizes: Shape): boolean {
  const all = sizeOf(sizes);
  return typeof all === 'number' && all >= least;
}

interface Bf16Options {
  /** Read the first operand transposed. */
  transposeA?: boolean;
  transposeB?: boolean;
  /** Factor of the product. */
  scale?: number;
}

/** A row [n] to add, and its gradient from that of the sum [m, n]. */
interface Bias {
  row: Tensor;
  gradient(cotangent: Tensor): Tensor;
}

/**
 * The product of two float32 matrices, computed from their bfloat16 copies, plus a float32 row; or products of as many
 * matrices on either side, whose leading axes are equal.
 */
export const bf16Product = (a: Tensor, b: Tensor, options: Bf16Options = {}, bias?: Bias): Tensor =>
  product(copied(a), copied(b), options, bias);

/** A float32 tensor as bfloat16: what it was widened from, or a copy. Its gradient stays float32. */
function copied(x: Tensor): Tensor {
  const matrix = asMatrix(x);
  const copy = () => emit('ToBf16', [matrix], matrix.shape, { ...ofNumbers(matrix), vjp: (dy) => [dy] });
  return widenedFrom(x) ?? reshape(copy(), x.shape);
}

/** The bfloat16 tensor that a float32 one was made from, in the shape of that one. */
function widenedFrom(x: Tensor): Tensor | undefined {
  const made = x.graph.producer.get(x.name);
  const [from] = made?.inputTensors ?? [];
  if (made?.op === 'Cast') return from!.dtype === 'bfloat16' ? from : undefined;
  const narrow = made?.op === 'Reshape' ? widenedFrom(from!) : undefined;
  return narrow && reshape(narrow, x.shape);
}

/** A bfloat16 tensor as float32; others as they are. A product reads the bfloat16 one. */
export const widened = (x: Tensor): Tensor =>
  x.dtype === 'bfloat16'
    ? emit('Cast', [x], x.shape, { attributes: { to: 1 }, dtype: 'float32', vjp: (dy) => [dy] })
    : x;

/** What a node of the domain "heed" has whose result is bfloat16, of the shape of the matrix `x`. */
const ofNumbers = ({ shape }: Tensor) => ({
  domain: 'heed',
  dtype: 'bfloat16' as const,
  attributes: { rows: shape[0] as number, columns: shape[1] as number, kind: 0 },
});

const asMatrix = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);

/**
 * A float32 tensor of known size as bfloat16: half the memory where a gradient needs it, and half the time of each pass
 * over it. A product is rounded as it is written, so do not read `x` itself as well: it would be computed twice.
 */
export function narrowed(x: Tensor): Tensor {
  const narrow = narrowedProduct(x);
  return narrow ? reshape(narrow, x.shape) : copied(x);
}

/** The product that `x` is, in whatever shape, with a bfloat16 result. */
function narrowedProduct(x: Tensor): Tensor | undefined {
  const made = x.graph.producer.get(x.name);
  if (made?.op === 'Reshape') return narrowedProduct(made.inputTensors[0]!);
  if (made?.domain !== 'heed' || !made.op.startsWith('Bf16Product')) return undefined;
  const { op, domain, attributes, inputTensors, vjp } = made;
  return emit(`Narrow${op}`, inputTensors, x.shape, { domain, attributes, dtype: 'bfloat16', vjp: (dy) => vjp!([dy]) });
}

/** activation(gate) · up, or activation(up) without a gate, of bfloat16 tensors. The result is float32. */
export function bf16Activated(kind: Bf16Activation, up: Tensor, gate?: Tensor): Tensor {
  const [u, g] = [asMatrix(up), gate && asMatrix(gate)];
  return reshape(widened(g ? multiplied(activated(kind, g), u) : activated(kind, u)), up.shape);
}

function activated(kind: Bf16Activation, x: Tensor): Tensor {
  const node = { ...ofNumbers(x), attributes: { ...ofNumbers(x).attributes, kind: BF16_ACTIVATIONS.indexOf(kind) } };
  return emit('Bf16Activation', [x], x.shape, {
    ...node,
    vjp: (dy) => [widened(emit('Bf16ActivationGradient', [x, narrowed(dy)], x.shape, node))],
  });
}

/** a · b, one by one, of bfloat16 tensors of one shape. */
export function multiplied(a: Tensor, b: Tensor): Tensor {
  const [x, y] = [asMatrix(a), asMatrix(b)];
  const result = emit('Bf16Mul', [x, y], x.shape, {
    ...ofNumbers(x),
    vjp: (dy) => [y, x].map((other) => widened(multiplied(narrowed(dy), other))),
  });
  return reshape(result, a.shape);
}

function product(a: Tensor, b: Tensor, options: Bf16Options, bias?: Bias): Tensor {
  const { transposeA: tA = false, transposeB: tB = false, scale = 1 } = options;
  const leading = a.shape.slice(0, -2) as number[];
  const [m, k] = (tA ? a.shape.slice(-2).reverse() : a.shape.slice(-2)) as number[];
  const n = b.shape.at(tB ? -2 : -1) as number;
  const batch = leading.length > 0 ? Number(sizeOf(leading)) : 0;
  const result = emit(
    bias ? 'Bf16ProductAndBias' : 'Bf16Product',
    bias ? [a, b, bias.row] : [a, b],
    batch === 0 ? [m, n] : [batch, m, n],
    {
      domain: 'heed',
      dtype: 'float32',
      attributes: { batch, m, k, n, transA: Number(tA), transB: Number(tB), scale: { float: scale } },
      vjp: (dy) => {
        const by = copied(reshape(dy, [...leading, m, n]));
        return [
          tA ? product(b, by, { transposeA: tB, transposeB: true, scale }) : product(by, b, { transposeB: !tB, scale }),
          tB ? product(by, a, { transposeA: true, transposeB: tA, scale }) : product(a, by, { transposeA: !tA, scale }),
          bias?.gradient(dy),
        ];
      },
    },
  );
  return reshape(result, [...leading, m, n]);
}
