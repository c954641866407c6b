/** Attention with all scores in memory, as training needs it, and the rotation of queries and keys. */
import { HeedError } from '../../error.ts';
import { multiplyDims, product, sameShape } from '../dims.ts';
import { checkDtypes, describe, emit, type Tensor, withGradient } from '../graph.ts';
import { add, cast, mul, neg, sub } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { softmax } from './normalise.ts';
import { sum } from './reduce.ts';
import { reshape, transpose } from './shape.ts';

/**
 * Rotary position embedding (Su et al. 2021): each head's two halves are rotated against one another by angles given
 * as tables. x [rows, time, heads · size], positions [rows, time] of int32 or int64, cos and sin [positions, size / 2].
 */
export function rotary(x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor): Tensor {
  checkDtypes('rotary', 'float', x, cos, sin);
  if (x.shape.length !== 3 || !sameShape(positions.shape, x.shape.slice(0, 2)) || !sameShape(cos.shape, sin.shape)) {
    throw new HeedError(`rotary: ${describe(x)} does not fit positions ${describe(positions)} and ${describe(cos)}`, {
      hint: 'x is [rows, time, heads * size], positions [rows, time], both tables [positions, size / 2]',
    });
  }
  return emit('RotaryEmbedding', [x, cast(positions, 'int64'), cos, sin], x.shape, {
    attributes: { interleaved: 0 },
    domain: 'com.microsoft',
    vjp: (dy) => [rotary(dy, positions, cos, neg(sin))],
  });
}

export interface AttentionOptions {
  heads: number;
  keyValueHeads: number;
  /** Scores are multiplied by this: 1/√size where absent. */
  scale?: number;
}

/**
 * softmax(q·kᵀ·scale + mask)·v for each head. q [rows, time, heads · size]; k and v [rows, time, keyValueHeads · size],
 * each of whose heads serves heads / keyValueHeads queries; mask [rows or 1, 1, time, time], added to the scores.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, options: AttentionOptions): Tensor {
  const { heads, keyValueHeads } = options;
  checkDtypes('attention', 'float', q, k, v, mask);
  const [rows, time, width] = q.shape;
  const size = Number(width) / heads;
  const fits = [k, v].every((t) => sameShape(t.shape, [rows, time, keyValueHeads * size]));
  if (q.shape.length !== 3 || !Number.isInteger(size) || heads % keyValueHeads !== 0 || !fits) {
    throw new HeedError(
      `attention: ${describe(q)}, ${describe(k)} and ${describe(v)} do not fit ${heads} heads and ${keyValueHeads} for keys and values`,
    );
  }
  const { scale = 1 / Math.sqrt(size) } = options;
  const groupTime = multiplyDims(heads / keyValueHeads, time);
  const ofHeads = (x: Tensor, count: number) => transpose(reshape(x, [rows, time, count, size]), [0, 2, 1, 3]);
  const merged = (x: Tensor, count: number) =>
    reshape(transpose(reshape(x, [rows, count, time, size]), [0, 2, 1, 3]), [rows, time, count * size]);
  // queries that share keys lie under one another: one product for the group
  const grouped = (x: Tensor) => reshape(ofHeads(x, heads), [rows, keyValueHeads, groupTime, size]);
  const square = (x: Tensor) => reshape(x, [rows, heads, time, time]);
  const tall = (x: Tensor) => reshape(x, [rows, keyValueHeads, groupTime, time]);

  const [qs, ks, vs] = [grouped(q), ofHeads(k, keyValueHeads), ofHeads(v, keyValueHeads)];
  const p = softmax(add(square(matmul(qs, ks, { transposeB: true, scale })), mask));
  const mixed = matmul(tall(p), vs);
  return withGradient([q, k, v], merged(mixed, heads), (dy) => {
    const dMixed = grouped(dy);
    const dv = matmul(tall(p), dMixed, { transposeA: true });
    // Σ p·dp over a row of scores is Σ o·do over the head's size, which is shorter (Dao et al. 2022)
    const along = reshape(sum(mul(mixed, dMixed), { axes: [-1] }), [rows, heads, time, 1]);
    const dScores = tall(mul(p, sub(square(matmul(dMixed, vs, { transposeB: true })), along)));
    const dq = matmul(dScores, ks, { scale });
    const dk = matmul(dScores, qs, { transposeA: true, scale });
    return [merged(dq, heads), merged(dk, keyValueHeads), merged(dv, keyValueHeads)];
  });
}

/** Tokens of a batch by rows: [rows, time, …rest] → [rows · time, …rest]. */
export const tokensOf = (x: Tensor): Tensor => reshape(x, [product(x.shape.slice(0, 2)), ...x.shape.slice(2)]);
