/** Attention with all scores in memory, as training needs it, and the rotation of queries and keys. */
import { HeedError } from '../../error.ts';
import { addDims, multiplyDims, product, sameShape } from '../dims.ts';
import { checkDtypes, describe, emit, type Tensor, withGradient } from '../graph.ts';
import { isBf16Product, multiplied, narrowed, widened } from './bf16.ts';
import { add, cast, mul, neg, square, sub, tanh } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { softmax } from './normalize.ts';
import { sum } from './reduce.ts';
import { concat, expand, reshape, slice, split, transpose } from './shape.ts';

interface RotaryOptions {
  /** If the tables are narrower than half of this, only the first part of each head is rotated, and the rest stays. */
  headSize?: number;
  /** Rotate neighbors against one another, in place of halves. */
  interleaved?: boolean;
}

/**
 * Rotary position embedding (Su et al. 2021): each head's two halves are rotated against one another, by angles from
 * tables. x [rows, time, heads · size], positions [rows, time] of int32 or int64, cos and sin [positions, size / 2].
 * The tables need at least as many positions as x has times: ONNX Runtime requires it.
 */
export function rotary(x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, options: RotaryOptions = {}): Tensor {
  const { headSize, interleaved = false } = options;
  checkDtypes('rotary', 'float', x, cos, sin);
  if (x.shape.length !== 3 || !sameShape(positions.shape, x.shape.slice(0, 2)) || !sameShape(cos.shape, sin.shape)) {
    throw new HeedError(`rotary: ${describe(x)} does not fit positions ${describe(positions)} and ${describe(cos)}`, {
      hint: 'x is [rows, time, heads * size], positions [rows, time], both tables [positions, size / 2]',
    });
  }
  const size = 2 * Number(cos.shape[1]);
  const partly = headSize !== undefined && size < headSize;
  if (partly && Number(x.shape[2]) % headSize) {
    throw new HeedError(`rotary: ${describe(x)} has no heads of ${headSize}`);
  }
  const part = partly && { num_heads: Number(x.shape[2]) / headSize, rotary_embedding_dim: size };
  return emit('RotaryEmbedding', [x, cast(positions, 'int64'), cos, sin], x.shape, {
    attributes: { interleaved: Number(interleaved), ...part },
    domain: 'com.microsoft',
    vjp: (dy) => [rotary(dy, positions, cos, neg(sin), options)],
  });
}

interface AttentionOptions {
  /** Number of heads of q. */
  heads: number;
  /** Number of heads of k and v. */
  keyValueHeads: number;
  /** Scores are multiplied by this; 1/√size by default. */
  scale?: number;
  /** Scores s become cap · tanh(s / cap) before the mask is added; unchanged by default. */
  softCap?: number;
  /** [heads]: the score of a sink, which takes a share of each query's attention and has no value; none by default. */
  sinks?: Tensor;
  /** Whether the mask hides later tokens from every token. Most of their scores are then not computed. */
  causal?: boolean;
}

/**
 * Tokens whose scores are computed together if the mask is causal: few enough to save work, enough for fast products.
 */
const BLOCK = 128;

/**
 * softmax(q·kᵀ·scale + mask)·v for each head. q [rows, time, heads · size]; k and v [rows, time, keyValueHeads · size],
 * each head serves heads / keyValueHeads queries. mask [rows or 1, 1, time, time] is added to the scores.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, options: AttentionOptions): Tensor {
  const { heads, keyValueHeads, causal = false } = options;
  checkDtypes('attention', 'float', q, k, v, mask);
  const [rows, time, width] = q.shape;
  const size = Number(width) / heads;
  const fits = [k, v].every((t) => sameShape(t.shape, [rows, time, keyValueHeads * size]));
  if (q.shape.length !== 3 || !Number.isInteger(size) || heads % keyValueHeads !== 0 || !fits) {
    throw new HeedError(
      `attention: ${describe(q)}, ${describe(k)} and ${describe(v)} do not fit ` +
        `${heads} heads and ${keyValueHeads} for keys and values`,
    );
  }
  const { scale = 1 / Math.sqrt(size), softCap, sinks } = options;
  const scoring = { scale, softCap, sinks };
  // where products are of bfloat16, all that a gradient needs is kept as bfloat16
  const isNarrow = isBf16Product(q, [multiplyDims(heads / keyValueHeads, time), size, time], [rows, keyValueHeads]);
  const kept = (x: Tensor) => (isNarrow ? narrowed(x) : x);
  const ofHeads = (x: Tensor, count: number) => transpose(reshape(x, [rows, time, count, size]), [0, 2, 1, 3]);
  const [qs, ks, vs] = [ofHeads(kept(q), heads), ofHeads(kept(k), keyValueHeads), ofHeads(kept(v), keyValueHeads)];
  const merged = (x: Tensor) => widened(reshape(transpose(x, [0, 2, 1, 3]), [rows, time, heads * size]));
  if (!causal || typeof time !== 'number' || time < 2 * BLOCK) return merged(mixedValues(qs, ks, vs, mask, scoring));
  const sizes = Array.from({ length: Math.ceil(time / BLOCK) }, (_, i) => Math.min(BLOCK, time - i * BLOCK));
  const blocks = split(qs, sizes, 2).map((block, i) => {
    const [start, end] = [i * BLOCK, i * BLOCK + sizes[i]];
    const seen = (x: Tensor) => slice(x, 2, 0, end);
    return mixedValues(block, seen(ks), seen(vs), slice(slice(mask, 2, start, end), 3, 0, end), scoring);
  });
  return merged(concat(blocks, 2));
}

type Scoring = Pick<AttentionOptions, 'softCap' | 'sinks'> & { scale: number };

/** q [rows, heads, time, size]; k and v [rows, keyValueHeads, past, size]; mask [rows or 1, 1, time, past]. */
function mixedValues(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scoring: Scoring): Tensor {
  const { scale, softCap, sinks } = scoring;
  const [rows, heads, time] = q.shape;
  const keyValueHeads = k.shape[1];
  const group = multiplyDims(Number(heads) / Number(keyValueHeads), time);
  const kept = (x: Tensor) => (q.dtype === 'bfloat16' ? narrowed(x) : x); // every block: they are joined
  const times = (a: Tensor, b: Tensor, options = {}) => matmul(widened(a), widened(b), options);
  // queries that share keys are stacked: one product for the group
  const grouped = (x: Tensor) => reshape(x, [rows, keyValueHeads, group, x.shape[3]]);
  const apart = (x: Tensor) => reshape(x, [rows, heads, time, x.shape[3]]);
  const products = apart(times(grouped(q), k, { transposeB: true, scale }));
  const bent = softCap === undefined ? undefined : tanh(mul(products, 1 / softCap));
  const scores = add(bent ? mul(bent, softCap!) : products, mask);
  const past = scores.shape[3];
  const sunk = sinks && softmax(concat([scores, expand(reshape(sinks, [1, heads, 1, 1]), [rows, heads, time, 1])], 3));
  const p = kept(sunk ? slice(sunk, 3, 0, past) : softmax(scores));
  const mixed = kept(times(grouped(p), v));
  return withGradient(sinks ? [q, k, v, sinks] : [q, k, v], apart(mixed), (dy) => {
    const dMixed = kept(grouped(dy));
    const dv = times(grouped(p), dMixed, { transposeA: true });
    // Σ p·dp over a row of scores is Σ o·do over the head's size, which is shorter (Dao et al. 2022)
    const along = reshape(sum(mul(widened(mixed), widened(dMixed)), { axes: [-1] }), [rows, heads, time, 1]);
    const dWeighted = sub(apart(times(dMixed, v, { transposeB: true })), along);
    const dCapped = p.dtype === 'bfloat16' ? widened(multiplied(p, kept(dWeighted))) : mul(p, dWeighted);
    const dScores = grouped(bent ? mul(dCapped, sub(1, square(bent))) : dCapped);
    const dq = times(dScores, k, { scale });
    const dk = times(dScores, grouped(q), { transposeA: true, scale });
    if (!sunk) return [apart(dq), dk, dv];
    const dSinks = neg(sum(mul(slice(sunk, 3, past, addDims(past, 1)), along), { axes: [0, 2, 3] }));
    return [apart(dq), dk, dv, dSinks];
  });
}

/** Tokens of a batch by rows: [rows, time, …rest] → [rows · time, …rest]. */
export const flattenTokens = (x: Tensor): Tensor => reshape(x, [product(x.shape.slice(0, 2)), ...x.shape.slice(2)]);
