import { expect, it } from 'vitest';
import { at, checkGradient, checkOp, fill, type Numbers, numbers } from '../../../test/support/gradients.ts';
import { conv2d, flatten, gradients, input, sum, type Tensor, trace } from '../index.ts';

function convolved(x: Numbers, w: Numbers, b: Numbers | undefined, stride: number, padding: number): Numbers {
  const [n, c, h, wide] = x.shape;
  const [out, , kh, kw] = w.shape;
  const size = (s: number, k: number) => Math.floor((s + 2 * padding - k) / stride) + 1;
  return fill([n, out, size(h, kh), size(wide, kw)], ([i, o, y, z]) => {
    let total = b ? b.data[o] : 0;
    for (let k = 0; k < c; k++) {
      for (let p = 0; p < kh; p++) {
        for (let q = 0; q < kw; q++) {
          const [row, column] = [y * stride + p - padding, z * stride + q - padding];
          if (row < 0 || row >= h || column < 0 || column >= wide) continue;
          total += at(x, i, k, row, column) * at(w, o, k, p, q);
        }
      }
    }
    return total;
  });
}

// [height, width, kernel height, kernel width, stride, padding]
const cases = [
  [5, 5, 3, 3, 1, 0],
  [4, 6, 3, 2, 1, 1],
  [6, 6, 3, 3, 2, 1], // one row and column left over
  [7, 6, 3, 3, 2, 0], // one column left over
  [8, 9, 4, 3, 3, 0],
  [8, 7, 2, 2, 3, 0], // a stride wider than the kernel
  [5, 5, 1, 1, 1, 0],
  [5, 4, 1, 1, 2, 0],
  [3, 3, 3, 3, 1, 2],
  [4, 4, 4, 4, 1, 0], // one place
  [5, 5, 4, 4, 4, 0], // one place, with a row and column left over
];
it.each(cases)('%i×%i image, %i×%i kernel, stride %i, padding %i', (h, w, kh, kw, stride, padding) => {
  const x = numbers([2, 3, h, w]);
  const weight = numbers([4, 3, kh, kw], { seed: 1 });
  const bias = numbers([4], { seed: 2 });
  const options = { stride, padding };
  const expected = convolved(x, weight, bias, stride, padding);
  checkOp(({ x, weight, bias }) => conv2d(x, weight, bias, options), { x, weight, bias }, expected, { symbols: false });
  checkGradient(({ x, weight }) => conv2d(x, weight, undefined, options), { x, weight }, { symbols: false });
});

it('takes any batch', () => {
  const weight = numbers([2, 1, 2, 2]);
  const program = trace((g) => {
    const x = input(g, 'x', ['n', 1, 3, 3]);
    const w = input(g, 'w', [2, 1, 2, 2]);
    const y = flatten(conv2d(x, w));
    return { y, dw: gradients(sum(y), [w])[0] };
  });
  for (const n of [1, 3]) {
    const x = numbers([n, 1, 3, 3]);
    const out = program.run({ x: x.data, w: weight.data });
    const expected = convolved(x, weight, undefined, 1, 0).data;
    expect(Array.from(out.y as Float32Array)).toEqual(expected.map((v) => expect.closeTo(v, 5)));
  }
  program[Symbol.dispose]();
});

it('names the tensors in errors of shape and dtype', () => {
  trace((g) => {
    const x = input(g, 'image', ['n', 3, 8, 8]);
    const w = input(g, 'kernel', [4, 3, 3, 3]);
    const b = input(g, 'bias', [3]);
    const wrong: [() => Tensor, RegExp][] = [
      [() => conv2d(x, input(g, 'other', [4, 2, 3, 3])), /conv2d: image .* does not fit the weight other/],
      [() => conv2d(input(g, 'flat', [3, 8, 8]), w), /conv2d: flat .* kernel/],
      [() => conv2d(input(g, 'free', ['n', 3, 'h', 8]), w), /conv2d: free .* needs a fixed height and width/],
      [() => conv2d(x, w, b), /conv2d: the bias bias float32\[3\] does not fit the weight kernel/],
      [() => conv2d(x, input(g, 'huge', [4, 3, 9, 9])), /conv2d: huge .* is larger than image/],
      [() => conv2d(x, w, undefined, { stride: 0 }), /conv2d: stride 0, padding 0 for image/],
      [() => conv2d(x, w, undefined, { padding: 0.5 }), /conv2d: stride 1, padding 0.5 for image/],
      [() => conv2d(input(g, 'bytes', ['n', 3, 8, 8], 'uint8'), w), /conv2d: takes a float, got bytes uint8/],
    ];
    for (const [build, message] of wrong) {
      expect(build, `${message}`).toThrow(
        expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(message) }),
      );
    }
    return { y: conv2d(x, w) };
  })[Symbol.dispose]();
});
