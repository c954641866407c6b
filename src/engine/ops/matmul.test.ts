import { expect, it } from 'vitest';
import { at, checkGradient, checkOp, fill, type Numbers, numbers, of } from '../../../test/support/gradients.ts';
import { gradients, input, linear, matmul, mul, square, sum, type Tensor, trace } from '../index.ts';

/** Matrix product in plain JavaScript, leading axes broadcast. */
function product(a: Numbers, b: Numbers, tA: boolean, tB: boolean, scale: number): Numbers {
  const [m, k] = tA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const n = tB ? b.shape.at(-2)! : b.shape.at(-1)!;
  const rank = Math.max(a.shape.length, b.shape.length) - 2;
  const batchOf = (t: Numbers) => [...Array(rank - (t.shape.length - 2)).fill(1), ...t.shape.slice(0, -2)];
  const [left, right] = [batchOf(a), batchOf(b)];
  const shape = [...left.map((d, i) => Math.max(d, right[i])), m, n];
  return fill(shape, (place) => {
    const batch = place.slice(0, rank);
    const [i, j] = place.slice(rank);
    const pick = (t: Numbers, own: number[], row: number, column: number) => {
      const lead = batch.map((v, x) => (own[x] === 1 ? 0 : v)).slice(rank - (t.shape.length - 2));
      return at(t, ...lead, row, column);
    };
    let total = 0;
    for (let x = 0; x < k; x++) {
      total +=
        pick(a, left, ...((tA ? [x, i] : [i, x]) as [number, number])) *
        pick(b, right, ...((tB ? [j, x] : [x, j]) as [number, number]));
    }
    return scale * total;
  });
}

const batches: [number[], number[]][] = [
  [[], []],
  [[3], [3]],
  [[3], []],
  [[], [3]],
  [[3], [1]],
  [
    [2, 1],
    [1, 3],
  ],
  [[2, 3], [3]],
  [[3], [2, 1]],
];
const transposes = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
];
for (const [transposeA, transposeB] of transposes) {
  for (const scale of [1, 0.3]) {
    const marks = `${transposeA ? 'aᵀ' : 'a'} · ${transposeB ? 'bᵀ' : 'b'} · ${scale}`;
    // a scale has nothing to do with batches
    it.each(scale === 1 ? batches : batches.slice(0, 2))(`${marks}, batches %j and %j`, (left, right) => {
      const a = numbers([...left, ...(transposeA ? [5, 2] : [2, 5])]);
      const b = numbers([...right, ...(transposeB ? [4, 5] : [5, 4])], { seed: 1 });
      const options = { transposeA, transposeB, scale };
      checkOp(({ a, b }) => matmul(a, b, options), { a, b }, product(a, b, transposeA, transposeB, scale));
    });
    it(`${marks}, differentiated twice`, () => {
      const a = numbers(transposeA ? [2, 3, 2] : [2, 2, 3]);
      const b = numbers(transposeB ? [2, 3] : [3, 2], { seed: 1 });
      const options = { transposeA, transposeB, scale };
      checkGradient(({ a, b }) => gradients(sum(square(matmul(a, b, options))), [a])[0], { a, b });
    });
  }
}

it('of a matrix with itself', () => {
  const a = numbers([3, 3]);
  checkOp(({ a }) => matmul(a, a), { a }, product(a, a, false, false, 1));
  checkOp(({ a }) => matmul(a, a, { transposeB: true }), { a }, product(a, a, false, true, 1));
});

it.each([[[5]], [[2, 5]], [[3, 2, 5]], [[2, 1, 2, 5]]])('linear of %j', (shape) => {
  const x = numbers(shape);
  const weight = numbers([4, 5], { seed: 1 });
  const bias = numbers([4], { seed: 2 });
  const rows = { shape: [shape.slice(0, -1).reduce((a, b) => a * b, 1), 5], data: x.data };
  const y = product(rows, weight, false, true, 1);
  const shifted = y.data.map((v, i) => v + bias.data[i % 4]);
  checkOp(({ x, weight }) => linear(x, weight), { x, weight }, y);
  checkOp(({ x, weight, bias }) => linear(x, weight, bias), { x, weight, bias }, shifted);
  checkGradient(({ x, weight, bias }) => gradients(sum(square(linear(x, weight, bias))), [weight])[0], {
    x,
    weight,
    bias,
  });
});

it('linear with a fixed weight and several symbolic axes', () => {
  const p = trace((g) => {
    const x = input(g, 'x', ['batch', 'time', 3]);
    const w = input(g, 'w', [2, 3]);
    return { y: linear(x, w), dw: gradients(sum(linear(x, w)), [w])[0] };
  });
  expect(p.outputs[0].shape).toEqual(['batch', 'time', 2]);
  p[Symbol.dispose]();
});

it('names the tensors in errors of shape and dtype', () => {
  trace((g) => {
    const x = input(g, 'hidden', ['n', 3]);
    const w = input(g, 'weight', [2, 4]);
    const counts = input(g, 'counts', [3, 2], 'int32');
    const v = input(g, 'vector', [3]);
    const wrong: [() => Tensor, RegExp][] = [
      [() => matmul(x, w), /matmul: hidden float32\[n, 3\] and weight float32\[2, 4\] do not fit/],
      [() => matmul(x, w, { transposeA: true }), /hidden float32\[n, 3\]ᵀ and weight/],
      [() => matmul(x, v), /hidden .* and vector float32\[3\] must have two axes/],
      [() => matmul(x, counts), /matmul: takes a float, got counts int32\[3, 2\]/],
      [() => matmul(input(g, 'a', [2, 5, 3]), input(g, 'b', [3, 3, 5])), /a float32\[2, 5, 3\] and b/],
      [() => linear(x, w), /linear: hidden .* does not fit the weight weight/],
      [() => linear(input(g, 'y', ['n', 4]), w, v), /linear: the bias vector .* does not fit the weight weight/],
      [() => linear(x, counts), /linear: .*counts int32/],
    ];
    for (const [build, message] of wrong) {
      expect(build, `${message}`).toThrow(
        expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(message) }),
      );
    }
    return { x: mul(x, 2) };
  })[Symbol.dispose]();
});

it('of one row and of one column', () => {
  const a = of([1, 1], [3]);
  checkOp(({ a, b }) => matmul(a, b), { a, b: of([1, 1], [2]) }, [6]);
});
