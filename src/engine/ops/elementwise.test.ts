import { describe, expect, it } from 'vitest';
import {
  broadcast,
  checkGradient,
  checkOp,
  evaluate,
  expectClose,
  numbers,
  of,
} from '../../../test/support/gradients.ts';
import {
  abs,
  add,
  cast,
  clip,
  constant,
  cos,
  div,
  equal,
  erf,
  exp,
  expand,
  floor,
  gelu,
  geluTanh,
  gradients,
  greater,
  greaterOrEqual,
  input,
  isNaN as isNaNOp,
  less,
  lessOrEqual,
  log,
  logicalAnd,
  logicalNot,
  logicalOr,
  logSigmoid,
  maximum,
  minimum,
  mul,
  neg,
  type Operand,
  pow,
  reciprocal,
  relu,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  type Tensor,
  tanh,
  trace,
  where,
} from '../index.ts';

const logistic = (v: number) => 1 / (1 + Math.exp(-v));
// Σ of the series of the error function, exact to double precision for the arguments here
const erfOf = (v: number) => {
  let term = v;
  let total = v;
  for (let n = 1; n < 80; n++) {
    term *= (-v * v) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
};

describe('functions of one tensor', () => {
  // [op, reference, range that avoids kinks]
  const cases: [string, (x: Tensor) => Tensor, (v: number) => number, number, number][] = [
    ['neg', neg, (v) => -v, -2, 2],
    ['exp', exp, Math.exp, -2, 2],
    ['log', log, Math.log, 0.5, 3],
    ['sqrt', sqrt, Math.sqrt, 0.5, 3],
    ['square', square, (v) => v * v, -2, 2],
    ['reciprocal', reciprocal, (v) => 1 / v, 0.5, 3],
    ['abs', abs, Math.abs, -3, -0.1],
    ['abs, positive', abs, Math.abs, 0.1, 3],
    ['sign', sign, Math.sign, 0.1, 3],
    ['floor', floor, Math.floor, 2.1, 2.9],
    ['sin', sin, Math.sin, -3, 3],
    ['cos', cos, Math.cos, -3, 3],
    ['erf', erf, erfOf, -2, 2],
    ['tanh', tanh, Math.tanh, -2, 2],
    ['sigmoid', sigmoid, logistic, -3, 3],
    ['softplus', softplus, (v) => Math.log1p(Math.exp(v)), -3, 3],
    ['logSigmoid', logSigmoid, (v) => -Math.log1p(Math.exp(-v)), -3, 3],
    ['relu', relu, (v) => Math.max(v, 0), 0.1, 3],
    ['relu, negative', relu, (v) => Math.max(v, 0), -3, -0.1],
    ['silu', silu, (v) => v * logistic(v), -3, 3],
    ['gelu', gelu, (v) => (v * (1 + erfOf(v * Math.SQRT1_2))) / 2, -2.5, 2.5],
    [
      'geluTanh',
      geluTanh,
      (v) => (v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))) / 2,
      -2.5,
      2.5,
    ],
    ['pow 3', (x) => pow(x, 3), (v) => v ** 3, -2, 2],
    ['pow 2', (x) => pow(x, 2), (v) => v ** 2, -2, 2],
    ['pow 1', (x) => pow(x, 1), (v) => v, -2, 2],
    ['pow 0', (x) => pow(x, 0), () => 1, -2, 2],
    ['pow 0.5', (x) => pow(x, 0.5), Math.sqrt, 0.5, 3],
    ['pow −1.5', (x) => pow(x, -1.5), (v) => v ** -1.5, 0.5, 3],
    ['clip, inside', (x) => clip(x, -1, 1), (v) => v, -0.9, 0.9],
    ['clip, above', (x) => clip(x, -1, 1), () => 1, 1.1, 2],
    ['clip, open above', (x) => clip(x, 0.5, Number.POSITIVE_INFINITY), (v) => v, 1, 2],
  ];
  it.each(cases)('%s', (_name, op, reference, low, high) => {
    const x = numbers([2, 1, 3], { low, high });
    checkOp(
      ({ x }) => op(x),
      { x },
      x.data.map((v) => reference(Math.fround(v))),
    );
  });

  it('clip takes bounds that are tensors', () => {
    const inputs = { x: of([3], [-2, 0.5, 2]), low: of([], [-1]), high: of([], [1]) };
    checkOp(({ x, low, high }) => clip(x, low, high), inputs, [-1, 0.5, 1], { wrt: ['x'] });
  });

  it('have scalars and one-element tensors too', () => {
    checkOp(({ x }) => tanh(x), { x: of([], [0.3]) }, [Math.tanh(0.3)]);
    checkOp(({ x }) => sigmoid(x), { x: of([1, 1], [0.3]) }, [logistic(0.3)]);
  });

  it('neither overflow nor lose a gradient far out', () => {
    const x = of([4], [-200, -30, 30, 200]);
    expectClose(
      evaluate(({ x }) => softplus(x), { x }),
      [0, 0, 30, 200],
      1e-6,
    );
    expectClose(
      evaluate(({ x }) => logSigmoid(x), { x }),
      [-200, -30, 0, 0],
      1e-6,
    );
    const slope = (op: (x: Tensor) => Tensor) => evaluate(({ x }) => gradients(sum(op(x)), [x])[0], { x });
    expectClose(slope(softplus), [0, logistic(-30), 1, 1], 1e-6);
    expectClose(slope(logSigmoid), [1, 1, logistic(-30), 0], 1e-6);
    expectClose(slope(silu), [0, -29 * Math.exp(-30), 1, 1], 1e-6);
    expectClose(slope(gelu), [0, 0, 1, 1], 1e-6);
    expectClose(
      slope((t) => pow(t, 0)),
      [0, 0, 0, 0],
      0,
    );
  });

  it('logSigmoid and its gradient are exact where the sigmoid is small', () => {
    const x = of([5], [-25, -15, -5, 5, 15]);
    const value = evaluate(({ x }) => logSigmoid(x), { x });
    const slope = evaluate(({ x }) => gradients(sum(logSigmoid(x)), [x])[0], { x });
    for (const [i, v] of x.data.entries()) {
      expect(value[i] / -Math.log1p(Math.exp(-v))).toBeCloseTo(1, 6);
      expect(slope[i] / logistic(-v)).toBeCloseTo(1, 5);
    }
  });

  it('have the usual gradient at their kinks', () => {
    const slope = (op: (x: Tensor) => Tensor, data: number[]) =>
      evaluate(({ x }) => gradients(sum(op(x)), [x])[0], { x: of([data.length], data) });
    expect(slope(relu, [0])).toEqual([0]);
    expect(slope(abs, [0])).toEqual([0]);
    expect(slope((x) => clip(x, -1, 1), [-1, 1, -1.5, 1.5])).toEqual([1, 1, 0, 0]);
    expect(slope((x) => pow(x, 0), [0])).toEqual([0]);
    expect(slope((x) => pow(x, 1), [0])).toEqual([1]);
    expect(slope((x) => pow(x, 2), [0])).toEqual([0]);
  });
});

describe('functions of two tensors', () => {
  const ops: [string, (a: Operand, b: Operand) => Tensor, (a: number, b: number) => number][] = [
    ['add', add, (a, b) => a + b],
    ['sub', sub, (a, b) => a - b],
    ['mul', mul, (a, b) => a * b],
    ['div', div, (a, b) => a / b],
    ['maximum', maximum, Math.max],
    ['minimum', minimum, Math.min],
  ];
  const shapes: [number[], number[]][] = [
    [
      [2, 3],
      [2, 3],
    ],
    [
      [2, 3],
      [1, 3],
    ],
    [
      [2, 1],
      [2, 3],
    ],
    [
      [2, 1],
      [1, 3],
    ],
    [[3], [2, 3]],
    [[2, 3], []],
    [[], [2, 3]],
    [
      [4, 1, 3],
      [2, 1],
    ],
    [
      [1, 1],
      [1, 1, 1],
    ],
  ];
  for (const [name, op, reference] of ops) {
    it.each(shapes)(`${name} %j %j`, (left, right) => {
      // a quarter apart at least: maximum and minimum have a kink
      const apart = (by: number) => (v: number) => Math.round(2 * v) / 2 + by;
      const a = of(left, numbers(left, { low: -2, high: 2 }).data.map(apart(0)));
      const b = of(right, numbers(right, { low: 0.5, high: 2.5, seed: 1 }).data.map(apart(0.25)));
      checkOp(({ a, b }) => op(a, b), { a, b }, broadcast(reference, a, b));
    });
    it(`${name} with a number on either side`, () => {
      const x = numbers([2, 3], { low: 1.5, high: 3 });
      for (const number of [1, 0, -0.7, 2.2]) {
        checkOp(
          ({ x }) => op(number, x),
          { x },
          x.data.map((v) => reference(number, v)),
          { symbols: false },
        );
        if (name !== 'div' || number !== 0) {
          checkOp(
            ({ x }) => op(x, number),
            { x },
            x.data.map((v) => reference(v, number)),
            { symbols: false },
          );
        }
      }
    });
  }

  it('mul by one is no node, unless it broadcasts', () => {
    checkOp(({ x }, g) => mul(x, constant(g, [1], [])), { x: numbers([2]) }, numbers([2]));
    checkOp(({ x }, g) => mul(constant(g, [1], [1, 1]), x), { x: numbers([2]) }, numbers([2]));
  });

  it('what was expanded keeps its shape, on either side and on both', () => {
    const inputs = { a: numbers([1, 3]), b: numbers([3], { seed: 1 }), c: numbers([2, 3], { seed: 2 }) };
    const wide = (x: Tensor, { c }: Record<string, Tensor>) => expand(x, c.shape);
    const sumOf = (...names: ('a' | 'b' | 'c')[]) =>
      inputs.c.data.map((_, i) => names.reduce((s, k) => s + inputs[k].data[i % inputs[k].data.length], 0));
    checkOp((t) => add(wide(t.a, t), wide(t.b, t)), inputs, sumOf('a', 'b'), { wrt: ['a', 'b'] });
    checkOp((t) => add(wide(t.a, t), wide(t.a, t)), inputs, sumOf('a', 'a'), { wrt: ['a'] });
    checkOp((t) => add(wide(t.a, t), t.c), inputs, sumOf('a', 'c'), { wrt: ['a', 'c'] });
    checkOp((t) => add(t.b, wide(t.a, t)), inputs, sumOf('a', 'b'), { wrt: ['a', 'b'] });
    checkOp((t) => where(greater(wide(t.a, t), 9), wide(t.a, t), wide(t.b, t)), inputs, sumOf('b'), { wrt: ['b'] });
  });

  it('a tensor with itself', () => {
    const x = numbers([3], { low: 0.5, high: 2 });
    checkOp(
      ({ x }) => mul(x, x),
      { x },
      x.data.map((v) => v * v),
    );
    checkOp(
      ({ x }) => add(x, x),
      { x },
      x.data.map((v) => v + v),
    );
    checkGradient(({ x }) => div(x, add(x, mul(x, x))), { x });
  });

  it('maximum and minimum share the gradient of a tie by halves', () => {
    for (const op of [maximum, minimum]) {
      const slopes = (name: 'a' | 'b') =>
        evaluate((t) => gradients(sum(op(t.a, t.b)), [t[name]])[0], { a: of([2], [1, 2]), b: of([2], [1, 2]) });
      expect(slopes('a')).toEqual([0.5, 0.5]);
      expect(slopes('b')).toEqual([0.5, 0.5]);
    }
  });

  it('int32 and int64 compute too', () => {
    for (const dtype of ['int32', 'int64'] as const) {
      const inputs = { a: of([3], [1, -2, 3], dtype), b: of([3], [2, 2, -2], dtype) };
      expect(evaluate(({ a, b }) => add(mul(a, b), 1), inputs)).toEqual([3, -3, -5]);
      expect(evaluate(({ a, b }) => sub(maximum(a, b), neg(abs(b))), inputs)).toEqual([4, 4, 5]);
    }
  });
});

describe('comparison, logic and choice', () => {
  const a = of([2, 2], [1, 2, 3, Number.NaN]);
  const b = of([2], [2, 2]);
  it.each([
    ['greater', greater, [0, 0, 1, 0]],
    ['greaterOrEqual', greaterOrEqual, [0, 1, 1, 0]],
    ['less', less, [1, 0, 0, 0]],
    ['lessOrEqual', lessOrEqual, [1, 1, 0, 0]],
    ['equal', equal, [0, 1, 0, 0]],
  ] as const)('%s', (_name, op, expected) => {
    expect(evaluate(({ a, b }) => op(a, b), { a, b })).toEqual(expected);
    expect(evaluate(({ a }) => op(a, 2), { a })).toEqual(expected);
    expect(evaluate(({ a, b }) => op(a, b), { a, b }, true)).toEqual(expected);
  });

  it('logic', () => {
    const inputs = { a: of([4], [0, 0, 1, 1], 'bool'), b: of([4], [0, 1, 0, 1], 'bool') };
    expect(evaluate(({ a, b }) => logicalAnd(a, b), inputs)).toEqual([0, 0, 0, 1]);
    expect(evaluate(({ a, b }) => logicalOr(a, b), inputs)).toEqual([0, 1, 1, 1]);
    expect(evaluate(({ a }) => logicalNot(a), { a: inputs.a })).toEqual([1, 1, 0, 0]);
    expect(evaluate(({ a }) => isNaNOp(a), { a })).toEqual([0, 0, 0, 1]);
  });

  it.each([
    [
      [2, 3],
      [2, 3],
      [2, 3],
    ],
    [[2, 1], [3], [2, 3]],
    [[3], [2, 3], []],
    [[], [2, 3], [1, 3]],
    [[2, 3], [], [1]],
  ])('where %j %j %j', (c, x, y) => {
    const inputs = { c: { ...numbers(c), dtype: 'bool' as const }, x: numbers(x), y: numbers(y, { seed: 1 }) };
    inputs.c.data = inputs.c.data.map((v) => Number(v > 0));
    const expected = broadcast((c, x, y) => (c ? x : y), inputs.c, inputs.x, inputs.y);
    checkOp(({ c, x, y }) => where(c, x, y), inputs, expected);
  });

  it('where keeps what it does not choose out of the gradient', () => {
    const x = of([2], [-1, 4]);
    const y = evaluate(({ x }) => gradients(sum(where(greater(x, 0), log(maximum(x, 1e-3)), 0)), [x])[0], { x });
    expect(y).toEqual([0, 0.25]);
  });

  it('cast goes between dtypes, with a gradient between floats', () => {
    const x = of([3], [-1.75, 0, 2.5]);
    expect(evaluate(({ x }) => cast(x, 'int32'), { x })).toEqual([-1, 0, 2]);
    expect(evaluate(({ x }) => cast(x, 'int64'), { x })).toEqual([-1, 0, 2]);
    expect(evaluate(({ x }) => cast(x, 'bool'), { x })).toEqual([1, 0, 1]);
    expect(evaluate(({ x }) => cast(cast(x, 'float16'), 'float32'), { x })).toEqual(x.data);
    const through = (dtype: 'float16' | 'int32') =>
      evaluate(({ x }) => gradients(sum(mul(x, cast(cast(x, dtype), 'float32'))), [x])[0], { x });
    expect(through('float16')).toEqual([-3.5, 0, 5]);
    expect(through('int32')).toEqual([-1, 0, 2]);
  });

  it('float16 takes a plain number', () => {
    const y = evaluate(({ x }) => cast(add(mul(cast(x, 'float16'), 0.5), 1), 'float32'), { x: of([2], [1, 2]) });
    expect(y).toEqual([1.5, 2]);
  });

  it('stopGradient stops', () => {
    checkOp(({ x }) => mul(stopGradient(x), 1), { x: numbers([2]) }, numbers([2]), { wrt: [] });
    const x = of([2], [3, 4]);
    expect(evaluate(({ x }) => gradients(sum(mul(x, stopGradient(x))), [x])[0], { x })).toEqual([3, 4]);
  });
});

describe('second derivatives', () => {
  // The first derivative is traced, then checked as any other op.
  const first = (f: (x: Tensor) => Tensor) => (t: Record<string, Tensor>) => gradients(sum(f(t.x)), [t.x])[0];
  it.each([
    ['tanh', tanh],
    ['exp', exp],
    ['sigmoid', sigmoid],
    ['softplus', softplus],
    ['silu', silu],
    ['gelu', gelu],
    ['geluTanh', geluTanh],
    ['sin', sin],
    ['erf', erf],
    ['cube', (x: Tensor) => pow(x, 3)],
    ['quotient', (x: Tensor) => div(x, add(square(x), 1))],
    ['broadcast', (x: Tensor) => square(square(sum(x, { axes: [0], keepDims: true })))],
  ])('%s', (_name, f) => {
    checkGradient(first(f), { x: numbers([2, 3]) });
  });
  it('through a broadcast', () => {
    const build = (t: Record<string, Tensor>) => gradients(sum(square(mul(t.x, t.y))), [t.y])[0];
    checkGradient(build, { x: numbers([2, 3]), y: numbers([3], { seed: 2 }) });
    checkGradient(build, { x: numbers([2, 3]), y: numbers([1, 3], { seed: 2 }) });
  });
});

it('names the tensors in errors of shape and dtype', () => {
  trace((g) => {
    const x = input(g, 'left', ['n', 3]);
    const y = input(g, 'right', [2]);
    const i = input(g, 'count', [3], 'int32');
    const b = input(g, 'flag', [3], 'bool');
    const wrong: [() => Tensor, RegExp][] = [
      [() => add(x, y), /add: shapes do not broadcast: left float32\[n, 3\] and right float32\[2\]/],
      [() => add(x, input(g, 'm', ['m', 3])), /left float32\[n, 3\] and m float32\[m, 3\]/],
      [() => mul(x, i), /mul: dtypes differ: left float32\[n, 3\] and count int32\[3\]/],
      [() => mul(i, 0.5), /a constant int32\[\] cannot hold 0.5/],
      [() => add(b, b), /add: takes a number, got flag bool\[3\]/],
      [() => maximum(x, b), /maximum: takes a number, got flag/],
      [() => exp(i), /exp: takes a float, got count int32\[3\]/],
      [() => tanh(b), /tanh: takes a float, got flag/],
      [() => neg(b), /neg: takes a number, got flag/],
      [() => logicalNot(x), /not: takes a bool, got left/],
      [() => logicalAnd(x, x), /and: takes a bool, got left/],
      [() => greater(b, b), /greater: takes a number, got flag/],
      [() => equal(x, i), /equal: dtypes differ: left .* count/],
      [() => where(x, x, x), /where: the condition must be bool, got left/],
      [() => where(b, x, y), /where: shapes do not broadcast: left .* right/],
      [() => where(input(g, 'mask', [5], 'bool'), x, x), /where: shapes do not broadcast: mask bool\[5\], left/],
      [() => clip(x, 2, 1), /clip: the lower bound 2 is above the upper 1, for left/],
      [() => clip(x, y, 1), /clip: bounds must be scalars, got right float32\[2\]/],
      [() => clip(x, constant(g, [1], [], 'int32'), 1), /clip: dtypes differ: left/],
      [() => pow(i, 3), /pow: takes a float, got count/],
      [() => isNaNOp(i), /isNaN: takes a float, got count/],
      [() => add(1, 2), /add: one operand must be a tensor/],
    ];
    for (const [build, message] of wrong) {
      expect(build, `${message}`).toThrow(
        expect.objectContaining({ name: 'HeedError', message: expect.stringMatching(message) }),
      );
    }
    return { x: add(x, 1) };
  })[Symbol.dispose]();
});
