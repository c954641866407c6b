import { describe, expect, it } from 'vitest';
import {
  checkGradient,
  checkOp,
  evaluate,
  expectClose,
  type Numbers,
  numbers,
  of,
} from '../../../test/support/gradients.ts';
import {
  add,
  constant,
  div,
  exp,
  gradients,
  input,
  layerNorm,
  logSoftmax,
  mean,
  mul,
  pow,
  rmsNorm,
  softmax,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  trace,
  variance,
} from '../index.ts';

const rows = ({ shape, data }: Numbers, f: (row: number[]) => number[]) => {
  const width = shape.at(-1)!;
  return Array.from({ length: data.length / width }, (_, i) => f(data.slice(i * width, (i + 1) * width))).flat();
};
const average = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
const softmaxOf = (row: number[]) => {
  const e = row.map((v) => Math.exp(v - Math.max(...row)));
  return e.map((v) => v / e.reduce((a, b) => a + b, 0));
};

const shapes: { shape: number[] }[] = [{ shape: [5] }, { shape: [2, 5] }, { shape: [2, 1, 3, 5] }, { shape: [3, 1] }];

describe.each(shapes)('rows of $shape', ({ shape }) => {
  const x = numbers(shape, { low: -2, high: 2 });
  const width = shape.at(-1)!;
  const weight = numbers([width], { seed: 1 });
  const bias = numbers([width], { seed: 2 });

  it('softmax', () => checkOp(({ x }) => softmax(x), { x }, rows(x, softmaxOf)));
  it('logSoftmax', () =>
    checkOp(
      ({ x }) => logSoftmax(x),
      { x },
      rows(x, (row) => softmaxOf(row).map(Math.log)),
    ));

  it('layerNorm', () => {
    const expected = rows(x, (row) => {
      const center = average(row);
      const scale = Math.sqrt(average(row.map((v) => (v - center) ** 2)) + 1e-5);
      return row.map((v, i) => ((v - center) / scale) * weight.data[i] + bias.data[i]);
    });
    checkOp((t) => layerNorm(t.x, t.weight, t.bias), { x, weight, bias }, expected);
  });

  it('rmsNorm', () => {
    const expected = rows(x, (row) => {
      const scale = Math.sqrt(average(row.map((v) => v * v)) + 0.01);
      return row.map((v, i) => (v / scale) * weight.data[i]);
    });
    checkOp((t) => rmsNorm(t.x, t.weight, 0.01), { x, weight }, expected, { tolerance: 2e-3 });
  });
});

describe('second derivatives', () => {
  const x = numbers([2, 4], { low: -2, high: 2 });
  const weight = numbers([4], { seed: 1, low: 0.5, high: 1.5 });
  const bias = numbers([4], { seed: 2 });
  const c = numbers([2, 4], { seed: 3 });
  const twice =
    (f: (t: Record<string, Tensor>) => Tensor, of = 'x') =>
    (t: Record<string, Tensor>) =>
      gradients(sum(mul(square(f(t)), t.c)), [t[of]])[0];
  it('softmax', () => {
    checkGradient(
      twice(({ x }) => softmax(x)),
      { x, c },
    );
  });
  it('logSoftmax', () => {
    checkGradient(
      twice(({ x }) => logSoftmax(x)),
      { x, c },
    );
  });
  it.each(['x', 'weight', 'bias'])('layerNorm, first by %s', (name) => {
    checkGradient(
      twice((t) => layerNorm(t.x, t.weight, t.bias), name),
      { x, weight, bias, c },
      { tolerance: 2e-3 },
    );
  });
  it.each(['x', 'weight'])('rmsNorm, first by %s', (name) => {
    checkGradient(
      twice((t) => rmsNorm(t.x, t.weight, 0.1), name),
      { x, weight, c },
      { tolerance: 2e-3 },
    );
  });
});

describe('fused operators agree with the ops they fuse', () => {
  const x = numbers([6, 16], { low: -3, high: 3 });
  const weight = numbers([16], { seed: 1 });
  const bias = numbers([16], { seed: 2 });
  const c = numbers([6, 16], { seed: 3 });
  type Build = (t: Record<string, Tensor>) => Tensor;
  const last = { axes: [-1], keepDims: true };
  const pairs: [string, Build, Build, string[]][] = [
    ['softmax', (t) => softmax(t.x), (t) => div(exp(t.x), sum(exp(t.x), last)), ['x']],
    [
      'layerNorm',
      (t) => layerNorm(t.x, t.weight, t.bias),
      (t) => add(mul(div(sub(t.x, mean(t.x, last)), sqrt(add(variance(t.x, last), 1e-5))), t.weight), t.bias),
      ['x', 'weight', 'bias'],
    ],
    [
      'rmsNorm',
      (t) => rmsNorm(t.x, t.weight),
      (t) => mul(mul(t.x, pow(add(mean(square(t.x), last), 1e-6), -0.5)), t.weight),
      ['x', 'weight'],
    ],
  ];
  it.each(pairs)('%s', (_name, fused, plain, wrt) => {
    const inputs = { x, weight, bias, c };
    expectClose(evaluate(fused, inputs), evaluate(plain, inputs), 3e-6, 'value');
    for (const name of wrt) {
      const slope = (f: Build) => evaluate((t) => gradients(sum(mul(f(t), t.c)), [t[name]])[0], inputs);
      expectClose(slope(fused), slope(plain), 5e-6, `d${name}`);
    }
  });
});

it('softmax of large and of masked numbers', () => {
  const x = of([2, 3], [1000, 999, -1000, Number.NEGATIVE_INFINITY, 0, 0]);
  const e = Math.exp(-1);
  expectClose(
    evaluate(({ x }) => softmax(x), { x }),
    [1 / (1 + e), e / (1 + e), 0, 0, 0.5, 0.5],
    1e-6,
  );
  expectClose(
    evaluate(({ x }) => logSoftmax(x), { x }).slice(0, 3),
    [-Math.log(1 + e), -1 - Math.log(1 + e), -2000 - Math.log(1 + e)],
    1e-6,
  );
});

it('names the tensors in errors of shape and dtype', () => {
  trace((g) => {
    const x = input(g, 'hidden', ['n', 4]);
    const w = input(g, 'gain', [4]);
    const short = input(g, 'short', [3]);
    const counts = input(g, 'counts', [4], 'int32');
    const wrong: [() => Tensor, RegExp][] = [
      [() => layerNorm(x, short, w), /layerNorm: short float32\[3\] does not fit hidden float32\[n, 4\]/],
      [() => layerNorm(x, w, short), /layerNorm: short float32\[3\] does not fit hidden/],
      [() => rmsNorm(x, short), /rmsNorm: short .* does not fit hidden/],
      [() => rmsNorm(x, counts), /rmsNorm: takes a float, got counts/],
      [() => softmax(counts), /softmax: takes a float, got counts/],
      [() => logSoftmax(constant(g, [1], [])), /logSoftmax: .* has no axis/],
    ];
    for (const [build, message] of wrong) {
      expect(build, `${message}`).toThrow(
        expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(message) }),
      );
    }
    return { y: rmsNorm(x, w) };
  })[Symbol.dispose]();
});
