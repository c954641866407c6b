import { describe, expect, it } from 'vitest';
import {
  type Build,
  checkGradient,
  checkOp,
  evaluate,
  expectClose,
  fill,
  type Numbers,
  numbers,
  of,
} from '../../../test/support/gradients.ts';
import {
  argmax,
  cumulativeSum,
  gradients,
  input,
  logSumExp,
  maskedMean,
  max,
  mean,
  min,
  mul,
  type ReduceOptions,
  square,
  sum,
  type Tensor,
  topValues,
  trace,
  variance,
} from '../index.ts';

/** Reduces along axes by a function of the elements that fall together. */
function reduced(x: Numbers, f: (values: number[]) => number, { axes, keepDims = false }: ReduceOptions): Numbers {
  const rank = x.shape.length;
  const chosen = new Set((axes ?? x.shape.map((_, i) => i)).map((a) => (a < 0 ? a + rank : a)));
  const groups = new Map<string, number[]>();
  fill(x.shape, (at) => {
    const key = at.filter((_, i) => !chosen.has(i)).join();
    groups.set(key, [...(groups.get(key) ?? []), x.data[at.reduce((flat, v, i) => flat * x.shape[i] + v, 0)]]);
    return 0;
  });
  const shape = x.shape.flatMap((d, i) => (chosen.has(i) ? (keepDims ? [1] : []) : [d]));
  return { shape, data: [...groups.values()].map(f) };
}

const average = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
const ops: [string, (x: Tensor, o: ReduceOptions) => Tensor, (v: number[]) => number][] = [
  ['sum', sum, (v) => v.reduce((a, b) => a + b, 0)],
  ['mean', mean, average],
  ['max', max, (v) => Math.max(...v)],
  ['min', min, (v) => Math.min(...v)],
  ['variance', variance, (v) => average(v.map((e) => (e - average(v)) ** 2))],
  ['logSumExp', logSumExp, (v) => Math.log(v.reduce((a, b) => a + Math.exp(b), 0))],
];
const options: ReduceOptions[] = [
  {},
  { keepDims: true },
  { axes: [0] },
  { axes: [-1] },
  { axes: [1], keepDims: true },
  { axes: [0, -1] },
  { axes: [-2, 2], keepDims: true },
];

// Distinct elements a quarter apart, in no order: max and min have kinks.
const spread: Numbers = {
  shape: [2, 3, 4],
  data: Array.from({ length: 24 }, (_, i) => ((i * 7) % 24) / 4 - 3),
};

for (const [name, op, reference] of ops) {
  it.each(options)(`${name} %j`, (o) => {
    checkOp(({ x }) => op(x, o), { x: spread }, reduced(spread, reference, o));
  });
}

describe('reductions', () => {
  it('of a scalar, of axes of size 1 and of no axes change nothing', () => {
    for (const [, op] of ops.slice(0, 4)) {
      checkOp(({ x }) => op(x, {}), { x: of([], [3]) }, [3]);
      checkOp(({ x }) => op(x, { axes: [1] }), { x: of([2, 1], [3, 4]) }, [3, 4]);
      checkOp(({ x }) => op(x, { axes: [] }), { x: of([2], [3, 4]) }, [3, 4]);
    }
  });

  it('share the gradient of the largest or smallest among equals', () => {
    const x = of([2, 3], [1, 5, 5, 2, 2, 2]);
    const slope = (f: (x: Tensor) => Tensor) => evaluate(({ x }) => gradients(sum(f(x)), [x])[0], { x });
    expect(slope((x) => max(x, { axes: [1] }))).toEqual([0, 0.5, 0.5, ...Array(3).fill(Math.fround(1 / 3))]);
    expect(slope((x) => min(x, { axes: [-1] }))).toEqual([1, 0, 0, ...Array(3).fill(Math.fround(1 / 3))]);
    expect(slope((x) => max(x))).toEqual([0, 0.5, 0.5, 0, 0, 0]);
  });

  it('logSumExp neither overflows nor underflows', () => {
    const x = of([2, 3], [1000, 1000, 1000, -1000, -1000, -1001]);
    const expected = [1000 + Math.log(3), -1000 + Math.log(2 + Math.exp(-1))];
    expectClose(
      evaluate(({ x }) => logSumExp(x, { axes: [1] }), { x }),
      expected,
      1e-6,
    );
  });

  it('sum the integers', () => {
    const x = of([2, 2], [1, 2, 3, -4], 'int32');
    expect(evaluate(({ x }) => sum(x, { axes: [0] }), { x })).toEqual([4, -2]);
    expect(evaluate(({ x }) => max(x), { x })).toEqual([3]);
  });

  it('differentiate twice', () => {
    const first = (f: (x: Tensor) => Tensor) => (t: Record<string, Tensor>) => gradients(sum(square(f(t.x))), [t.x])[0];
    for (const [, op] of ops)
      checkGradient(
        first((x) => op(x, { axes: [1] })),
        { x: { ...spread } },
      );
  });
});

describe('argmax', () => {
  const x = of([2, 3], [1, 5, 5, 2, -1, 2]);
  it('gives the first of the largest', () => {
    expect(evaluate(({ x }) => argmax(x), { x })).toEqual([1, 0]);
    expect(evaluate(({ x }) => argmax(x, 1), { x }, true)).toEqual([1, 0]);
    expect(evaluate(({ x }) => argmax(x, 0), { x })).toEqual([1, 0, 0]);
    expect(evaluate(({ x }) => argmax(x, -2), { x })).toEqual([1, 0, 0]);
  });
});

describe('cumulativeSum', () => {
  it.each([
    [0, false],
    [1, false],
    [-1, true],
    [-3, true],
  ])('along axis %i, reverse %s', (axis, reverse) => {
    const x = numbers([2, 3, 4]);
    const along = axis < 0 ? axis + 3 : axis;
    const expected = fill(x.shape, (place) => {
      let total = 0;
      for (let i = 0; i < x.shape[along]; i++) {
        if (reverse ? i < place[along] : i > place[along]) continue;
        const [a, b, c] = place.map((v, k) => (k === along ? i : v));
        total += x.data[(a * 3 + b) * 4 + c];
      }
      return total;
    });
    checkOp(({ x }) => cumulativeSum(x, axis, { reverse }), { x }, expected);
  });
});

describe('maskedMean', () => {
  const x = numbers([2, 3]);
  const masked = (mask: Numbers, o: ReduceOptions, expected: number[]) =>
    checkOp(({ x, mask }) => maskedMean(x, mask, o), { x, mask }, expected, { wrt: ['x'] });
  const [a, b, c, d, e, f] = x.data;

  it('is the mean of what the mask keeps', () => {
    masked(of([2, 3], [1, 0, 1, 0, 0, 1]), {}, [(a + c + f) / 3]);
    masked(of([2, 3], [1, 0, 1, 0, 1, 1]), { axes: [1] }, [(a + c) / 2, (e + f) / 2]);
  });
  it('is 0 where the mask keeps nothing', () => {
    masked(of([2, 3], [0, 0, 0, 0, 1, 1]), { axes: [-1] }, [0, (e + f) / 2]);
    masked(of([2, 3], [0, 0, 0, 0, 0, 0]), {}, [0]);
  });
  it('broadcasts its mask', () => {
    masked(of([2, 1], [0, 1]), {}, [(d + e + f) / 3]);
    masked(of([3], [1, 0, 1]), {}, [(a + c + d + f) / 4]);
    masked(of([3], [1, 0, 1]), { axes: [1] }, [(a + c) / 2, (d + f) / 2]);
    masked(of([], [1]), {}, [(a + b + c + d + e + f) / 6]);
  });
});

it('names the tensor in errors of shape and dtype', () => {
  trace((g) => {
    const x = input(g, 'scores', ['n', 3]);
    const flag = input(g, 'flag', [3], 'bool');
    const count = input(g, 'count', [3], 'int32');
    const wrong: [() => Tensor, RegExp][] = [
      [() => sum(x, { axes: [2] }), /ReduceSum: no axis 2 in scores float32\[n, 3\]/],
      [() => mean(x, { axes: [-3] }), /no axis -3 in scores/],
      [() => max(x, { axes: [0.5] }), /no axis 0.5 in scores/],
      [() => sum(x, { axes: [0, -2] }), /axes \[0,-2\] of scores .* repeat/],
      [() => sum(flag), /takes a number, got flag bool\[3\]/],
      [() => mean(count), /takes a float, got count int32\[3\]/],
      [() => argmax(x, 5), /argmax: no axis 5 in scores/],
      [() => argmax(flag), /argmax: takes a number, got flag/],
      [() => cumulativeSum(x, -4), /cumulativeSum: no axis -4 in scores/],
      [() => maskedMean(x, input(g, 'mask', [2])), /mask float32\[2\]/],
    ];
    for (const [build, message] of wrong) {
      expect(build, `${message}`).toThrow(
        expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(message) }),
      );
    }
    return { x: mul(x, 2) };
  })[Symbol.dispose]();
});

it('reads the size of a symbolic mean at run time', () => {
  const build: Build = ({ x }) => mean(square(x), { axes: [0] });
  const x = numbers([5, 2]);
  const p = trace((g) => {
    const t = input(g, 'x', ['n', 2]);
    const loss = mean(square(t));
    return { loss, dx: gradients(loss, [t])[0] };
  });
  for (const n of [1, 2, 5]) {
    const data = x.data.slice(0, 2 * n);
    expectClose(
      p.run({ x: data }).dx as Float32Array,
      data.map((v) => v / n),
      1e-6,
    );
  }
  p[Symbol.dispose]();
  checkGradient(build, { x });
});

it('topValues gives the largest of each row, in descending order', () => {
  const x = of([2, 4], [3, -1, 7, 5, 0, 2, 1, 2]);
  expect(evaluate(({ x }) => topValues(x, 2), { x })).toEqual([7, 5, 2, 2]);
});
