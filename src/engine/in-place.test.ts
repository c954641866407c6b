/** Outputs bound over the memory of inputs: right where they are allowed, refused where a read could be spoilt. */
import { describe, expect, it } from 'vitest';
import { floats, heedError, list, numbers } from '../../test/support/gradients.ts';
import { emitMany } from './graph.ts';
import {
  add,
  clip,
  div,
  exp,
  type Graph,
  greater,
  input,
  log,
  matmul,
  maximum,
  mean,
  mul,
  neg,
  type Program,
  pow,
  softmax,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  type Tensor,
  tanh,
  trace,
  transpose,
  Value,
  variance,
  where,
} from './index.ts';

describe('outputs in the memory of inputs', () => {
  /** Runs `build` apart and in place (each output over the input it is named for) and gives both results. */
  function both(
    build: (g: Graph) => Record<string, Tensor>,
    over: Record<string, string>,
    inputs: Record<string, Value>,
  ) {
    const program = trace(build);
    const copies = () =>
      Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, Value.of(v.dtype, v.shape, v.data)]));
    const outputs = (from: Record<string, Value>, shared: boolean) =>
      Object.fromEntries(
        program.outputs.map(({ name, dtype, shape }) => [
          name,
          shared && over[name] ? from[over[name]] : new Value(dtype, shape as number[]),
        ]),
      );
    const results = [false, true].map((shared) => {
      const from = copies();
      const to = outputs(from, shared);
      const binding = program.bind(from, to);
      binding.run();
      binding[Symbol.dispose]();
      return Object.fromEntries(Object.entries(to).map(([k, v]) => [k, list(v.data)]));
    });
    program[Symbol.dispose]();
    return results;
  }
  const N = 5000;
  const x = (g: Graph) => input(g, 'x', [50, 100]);
  const vectors = () => ({
    x: floats([50, 100]),
    y: floats([50, 100], 1),
    w: floats([100, 100], 2),
    b: floats([100], 3),
  });

  it('an optimizer updates its parameters and moments', () => {
    const build = (g: Graph) => {
      const of = (name: string) => input(g, name, [N]);
      const rate = input(g, 'rate', []);
      const m = add(mul(of('m'), 0.9), mul(of('g'), 0.1));
      const v = add(mul(of('v'), 0.99), mul(square(of('g')), 0.01));
      const step = mul(div(m, add(sqrt(v), 1e-8)), rate);
      return { p2: sub(of('p'), step), m2: m, v2: v };
    };
    const positive = Value.of('float32', [N], numbers([N], { low: 0, high: 1, seed: 4 }).data);
    const inputs = { p: floats([N]), g: floats([N], 1), m: floats([N], 2), v: positive, rate: floats([]) };
    const [apart, shared] = both(build, { p2: 'p', m2: 'm', v2: 'v' }, inputs);
    expect(shared).toEqual(apart);
  });

  const safe: [string, (g: Graph) => Tensor][] = [
    ['elementwise', (g) => tanh(add(mul(x(g), 3), input(g, 'y', [50, 100])))],
    ['read twice', (g) => mul(x(g), exp(neg(x(g))))],
    ['scaled by its norm', (g) => div(x(g), sqrt(sum(square(x(g)))))],
    ['clipped where it is large', (g) => where(greater(x(g), 0.5), clip(x(g), -0.1, 0.1), maximum(x(g), 0))],
    [
      'normalized by rows, which ONNX Runtime fuses',
      (g) => {
        const last = { axes: [-1], keepDims: true };
        const centered = sub(x(g), mean(x(g), last));
        return mul(div(centered, sqrt(add(mean(square(centered), last), 1e-5))), input(g, 'b', [100]));
      },
    ],
    [
      'root mean square by rows',
      (g) =>
        mul(mul(x(g), pow(add(mean(square(x(g)), { axes: [-1], keepDims: true }), 1e-6), -0.5)), input(g, 'b', [100])),
    ],
    ['standardized', (g) => div(sub(x(g), mean(x(g))), sqrt(add(variance(x(g)), 1e-8)))],
    ['beside a product with the new', (g) => mul(x(g), 2)],
  ];
  it.each(safe)('are right: %s', (_name, build) => {
    const [apart, shared] = both((g) => ({ out: build(g) }), { out: 'x' }, vectors());
    expect(shared).toEqual(apart);
  });
  it('are right where others read what is written', () => {
    const build = (g: Graph) => {
      const out = tanh(x(g));
      return { out, product: matmul(out, input(g, 'w', [100, 100])) };
    };
    const [apart, shared] = both(build, { out: 'x' }, vectors());
    expect(shared).toEqual(apart);
  });

  const unsafe: [string, (g: Graph) => Record<string, Tensor>, RegExp][] = [
    ['a product', (g) => ({ out: matmul(x(g), input(g, 'w', [100, 100])) }), /it is not made elementwise/],
    ['a transpose', (g) => ({ out: transpose(input(g, 'w', [100, 100]), [1, 0]) }), /it is not made elementwise/],
    ['a softmax', (g) => ({ out: softmax(x(g)) }), /it is not made elementwise/],
    [
      'a sum behind a product, which ONNX Runtime makes one',
      (g) => ({ out: add(matmul(x(g), input(g, 'w', [100, 100])), input(g, 'b', [100])) }),
      /MatMul|Gemm/,
    ],
    [
      'a scale behind a product',
      (g) => ({ out: mul(matmul(mul(stopGradient(x(g)), 0.5), input(g, 'w', [100, 100])), 2) }),
      /MatMul|Gemm/,
    ],
    [
      'a reader that comes later',
      (g) => ({ out: tanh(x(g)), other: exp(x(g)) }),
      /Exp may read it after it is written/,
    ],
    [
      'a reader by another way',
      (g) => ({ out: tanh(x(g)), other: matmul(x(g), input(g, 'w', [100, 100])) }),
      /(Gemm|MatMul) may read it after it is written/,
    ],
    ['what does not come of it', (g) => ({ out: exp(input(g, 'y', [50, 100])), other: log(x(g)) }), /Log may read/],
    ['the input itself', (g) => ({ out: x(g), other: exp(x(g)) }), /may not share/],
  ];
  it.each(unsafe)('are refused: %s', (name, build, message) => {
    const program = trace(build);
    const values: Record<string, Value> = vectors();
    const over = name === 'a transpose' ? 'w' : 'x';
    const outputs: Record<string, Value> = { out: values[over] };
    for (const spec of program.outputs) outputs[spec.name] ??= new Value(spec.dtype, spec.shape as number[]);
    const error = heedError(message, /separate memory/);
    expect(() => program.bind(values, outputs)).toThrow(error);
    expect(() => program.bind(values, outputs)).toThrow(new RegExp(`may not share the memory of input "${over}"`));
    program[Symbol.dispose]();
  });

  it('are refused where they only overlap, and among each other', () => {
    const program = trace((g) => ({ out: mul(input(g, 'x', [4]), 2), other: exp(input(g, 'y', [4])) }));
    const memory = floats([6]);
    const part = (from: number) => new Value('float32', [4], memory.data.subarray(from, from + 4));
    const [y, other] = [floats([4]), new Value('float32', [4])];
    expect(() => program.bind({ x: part(0), y }, { out: part(2), other })).toThrow(heedError(/the two only overlap/));
    expect(() => program.bind({ x: floats([4]), y }, { out: other, other })).toThrow(
      heedError(/outputs "out" and "other" share memory/, /separate memory/),
    );
    program[Symbol.dispose]();
  });

  describe('a cache of keys and values', () => {
    const size = [1, 1, 4, 8];
    const attend = (g: Graph, more: (present: Tensor, past: Tensor) => Record<string, Tensor> = () => ({})) => {
      const [q, k, v] = ['q', 'k', 'v'].map((name) => input(g, name, [1, 1, 8]));
      const [keys, values] = ['keys', 'values'].map((name) => input(g, name, size));
      const [mixed, newKeys, newValues] = emitMany(
        'GroupQueryAttention',
        [q, k, v, keys, values, input(g, 'past', [1], 'int32'), input(g, 'total', [], 'int32')],
        [{ shape: [1, 1, 8] }, { shape: size }, { shape: size }],
        { domain: 'com.microsoft', attributes: { num_heads: 1, kv_num_heads: 1 } },
      );
      return { mixed, newKeys, newValues, ...more(newKeys, keys) };
    };
    const inputs = () => ({
      ...Object.fromEntries(['q', 'k', 'v'].map((name, i) => [name, floats([1, 1, 8], i)])),
      keys: floats(size, 5),
      values: floats(size, 6),
      past: Value.of('int32', [1], [2]),
      total: Value.of('int32', [], [3]),
    });
    it('is appended to in place', () => {
      const [apart, shared] = both((g) => attend(g), { newKeys: 'keys', newValues: 'values' }, inputs());
      // beyond the token just written nothing is of use
      const used = ({ mixed, newKeys, newValues }: typeof apart) => [
        mixed,
        newKeys.slice(0, 24),
        newValues.slice(0, 24),
      ];
      expect(used(shared)).toEqual(used(apart));
    });
    it.each<[string, Record<string, string>, Parameters<typeof attend>[1]]>([
      ['the other cache', { newKeys: 'values' }, undefined],
      ['the result', { mixed: 'q' }, undefined],
      ['another reader of the past', { newKeys: 'keys' }, (_, past) => ({ old: tanh(past) })],
    ])('is not written over by %s', (_name, over, more) => {
      const program: Program = trace((g) => attend(g, more));
      const values: Record<string, Value> = inputs();
      const outputs = Object.fromEntries(
        program.outputs.map(({ name, dtype, shape }) => [
          name,
          over[name] ? values[over[name]] : new Value(dtype, shape as number[]),
        ]),
      );
      expect(() => program.bind(values, outputs)).toThrow(heedError(/may not share/, /separate memory/));
      program[Symbol.dispose]();
    });
  });

  it('a second input over the same memory counts as well', () => {
    const program = trace((g) => {
      const a = input(g, 'a', [3, 3]);
      return { out: add(a, 1), product: matmul(input(g, 'b', [3, 3]), input(g, 'c', [3, 3])) };
    });
    const [a, c, product] = [floats([3, 3]), floats([3, 3]), new Value('float32', [3, 3])];
    expect(() => program.bind({ a, b: a, c }, { out: a, product })).toThrow(heedError(/memory of input "b"/));
    program[Symbol.dispose]();
  });
});
