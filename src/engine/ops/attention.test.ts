import { expect, it } from 'vitest';
import { at, checkGradient, checkOp, fill, type Numbers, numbers, of } from '../../../test/support/gradients.ts';
import { checkpoint, gradients, input, mul, silu, sum, type Tensor, takeRows, trace } from '../index.ts';
import { attention, rotary } from './attention.ts';

const [rows, time, size] = [2, 5, 4];
const causal = (n: number) => fill([1, 1, n, n], ([, , q, k]) => (k > q ? -1e30 : 0));

const bent = (cap: number | undefined, score: number) => (cap ? cap * Math.tanh(score / cap) : score);

function attended(
  { q, k, v, mask }: Record<'q' | 'k' | 'v' | 'mask', Numbers>,
  { heads, keyValueHeads, softCap, sinks }: { heads: number; keyValueHeads: number; softCap?: number; sinks?: Numbers },
): Numbers {
  const scoresOf = (r: number, h: number, t: number) => {
    const g = Math.floor((h * keyValueHeads) / heads);
    return Array.from({ length: time }, (_, s) => {
      let dot = 0;
      for (let i = 0; i < size; i++) dot += (at(q, r, t, h * size + i) * at(k, r, s, g * size + i)) / Math.sqrt(size);
      return Math.exp(bent(softCap, dot) + at(mask, 0, 0, t, s));
    });
  };
  return fill([rows, time, heads * size], ([r, t, place]) => {
    const h = Math.floor(place / size);
    const g = Math.floor((h * keyValueHeads) / heads);
    const weights = scoresOf(r, h, t);
    const total = weights.reduce((a, b) => a + b, sinks ? Math.exp(at(sinks, h)) : 0);
    return weights.reduce((mixed, w, s) => mixed + (w / total) * at(v, r, s, g * size + (place % size)), 0);
  });
}

it.each([
  [2, 2, undefined, false],
  [4, 2, undefined, false],
  [3, 1, undefined, false],
  [4, 2, 0.5, false],
  [4, 2, undefined, true],
])('attention of %i heads, %i for keys and values, soft-cap %s, sinks: %s', (heads, keyValueHeads, softCap, sunk) => {
  const options = { heads, keyValueHeads, softCap };
  const sinks = sunk ? numbers([heads], { seed: 3 }) : undefined;
  const q = numbers([rows, time, heads * size]);
  const [k, v] = [1, 2].map((seed) => numbers([rows, time, keyValueHeads * size], { seed }));
  const mask = causal(time);
  checkOp(
    ({ q, k, v, mask, sinks }) => attention(q, k, v, mask, { ...options, sinks }),
    { q, k, v, mask, ...(sinks && { sinks }) },
    attended({ q, k, v, mask }, { ...options, sinks }),
    { wrt: ['q', 'k', 'v', ...(sinks ? ['sinks'] : [])], symbols: false },
  );
});

it('in blocks, where the mask is causal, gives the same and the same gradients', () => {
  const long = 300;
  const inputs = {
    q: numbers([1, long, 2 * size]).data,
    k: numbers([1, long, size], { seed: 1 }).data,
    v: numbers([1, long, size], { seed: 2 }).data,
    mask: causal(long).data,
    sinks: numbers([2], { seed: 3 }).data,
  };
  const run = (causal: boolean) => {
    const program = trace((g) => {
      const q = input(g, 'q', [1, long, 2 * size]);
      const [k, v] = ['k', 'v'].map((name) => input(g, name, [1, long, size]));
      const [mask, sinks] = [input(g, 'mask', [1, 1, long, long]), input(g, 'sinks', [2])];
      const y = attention(q, k, v, mask, { heads: 2, keyValueHeads: 1, causal, sinks });
      const [dq, dk, dv, dSinks] = gradients(sum(mul(y, y)), [q, k, v, sinks]);
      return { y, dq, dk, dv, dSinks };
    });
    const out = program.run(inputs) as Record<string, Float32Array>;
    program[Symbol.dispose]();
    return out;
  };
  const [whole, blocks] = [run(false), run(true)];
  for (const name of ['y', 'dq', 'dk', 'dv', 'dSinks']) {
    for (const [i, value] of whole[name].entries()) expect(Math.abs(blocks[name][i] - value)).toBeLessThan(1e-5);
  }
});

it('rotary turns the halves of each head by its position', () => {
  const x = numbers([rows, time, 2 * size]);
  const positions = of([rows, time], [0, 1, 2, 0, 1, 3, 2, 1, 0, 0], 'int32');
  const half = size / 2;
  const angle = (p: number, i: number) => p * 10 ** -i;
  const [cos, sin] = [Math.cos, Math.sin].map((f) => fill([time, half], ([p, i]) => f(angle(p, i))));
  const expected = fill(x.shape, ([r, t, place]) => {
    const [start, i] = [place - (place % size), place % half];
    const turn = angle(at(positions, r, t), i);
    const [first, second] = [at(x, r, t, start + i), at(x, r, t, start + i + half)];
    return place % size < half
      ? first * Math.cos(turn) - second * Math.sin(turn)
      : second * Math.cos(turn) + first * Math.sin(turn);
  });
  const build = ({ x, positions, cos, sin }: Record<string, Tensor>) => rotary(x, positions, cos, sin);
  checkOp(build, { x, positions, cos, sin }, expected, { wrt: ['x'], symbols: false });
});

it('takeRows takes rows that are all different, and puts their gradient back', () => {
  const x = numbers([5, 3]);
  const indices = of([3], [4, 0, 2], 'int32');
  const expected = fill([3, 3], ([i, j]) => at(x, indices.data[i], j));
  checkOp(({ x, indices }) => takeRows(x, indices), { x, indices }, expected, { wrt: ['x'], symbols: false });
});

it('a checkpoint has the gradients of what it computes again', () => {
  const inputs = { x: numbers([3, 4]), w: numbers([3, 4], { seed: 1 }) };
  const layer = (h: Tensor, w: Tensor) =>
    mul(
      checkpoint(h.graph, () => silu(mul(h, w))),
      h,
    );
  const twice = (x: Tensor, w: Tensor) => {
    const once = checkpoint(x.graph, () => layer(x, w));
    return checkpoint(x.graph, () => layer(once, w));
  };
  checkGradient(({ x, w }) => twice(x, w), inputs, { symbols: false });
});

it('rotary turns the first part of each head alone where its tables are narrower', () => {
  const x = numbers([rows, time, 2 * size]);
  const positions = of([rows, time], [0, 1, 2, 0, 1, 3, 2, 1, 0, 0], 'int32');
  const [cos, sin] = [Math.cos, Math.sin].map((f) => fill([time, 1], ([p]) => f(p)));
  const expected = fill(x.shape, ([r, t, place]) => {
    const start = place - (place % size);
    const turn = at(positions, r, t);
    const [first, second] = [at(x, r, t, start), at(x, r, t, start + 1)];
    if (place % size === 0) return first * Math.cos(turn) - second * Math.sin(turn);
    if (place % size === 1) return second * Math.cos(turn) + first * Math.sin(turn);
    return at(x, r, t, place);
  });
  const build = ({ x, positions, cos, sin }: Record<string, Tensor>) =>
    rotary(x, positions, cos, sin, { headSize: size });
  checkOp(build, { x, positions, cos, sin }, expected, { wrt: ['x'], symbols: false });
});

it('rotary turns neighbors against one another', () => {
  const x = numbers([rows, time, 2 * size]);
  const positions = of([rows, time], [0, 1, 2, 0, 1, 3, 2, 1, 0, 0], 'int32');
  const [cos, sin] = [Math.cos, Math.sin].map((f) => fill([time, size / 2], ([p, i]) => f(p * 10 ** -i)));
  const expected = fill(x.shape, ([r, t, place]) => {
    const first = place - (place % 2);
    const turn = at(positions, r, t) * 10 ** -((first % size) / 2);
    const [a, b] = [at(x, r, t, first), at(x, r, t, first + 1)];
    return place === first ? a * Math.cos(turn) - b * Math.sin(turn) : b * Math.cos(turn) + a * Math.sin(turn);
  });
  const build = ({ x, positions, cos, sin }: Record<string, Tensor>) =>
    rotary(x, positions, cos, sin, { interleaved: true });
  checkOp(build, { x, positions, cos, sin }, expected, { wrt: ['x'], symbols: false });
});
