import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { numbers } from '../../test/support/gradients.ts';
import {
  add,
  allocate,
  clip,
  constant,
  createGraph,
  div,
  exp,
  type Graph,
  gather,
  gradients,
  greater,
  input,
  linear,
  log,
  matmul,
  maximum,
  mean,
  mul,
  neg,
  pow,
  reshape,
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
import { compile, sessionCount } from './program.ts';
import { runtime } from './runtime.ts';

const heedError = (message: RegExp, hint?: RegExp) =>
  expect.objectContaining({
    name: 'HeedError',
    message: expect.stringMatching(message),
    ...(hint ? { hint: expect.stringMatching(hint) } : {}),
  });
const list = (data: ArrayLike<number | bigint>) => Array.from(data, Number);
const floats = (shape: readonly number[], seed = 0) => Value.of('float32', shape, numbers(shape, { seed }).data);

it('a run calls native code once', () => {
  const { api } = runtime();
  const counts: Record<string, number> = {};
  const originals = { ...api };
  for (const name of Object.keys(originals) as (keyof typeof api)[]) {
    const original = originals[name];
    const counted = (...args: unknown[]) => {
      counts[name] = (counts[name] ?? 0) + 1;
      return original(...args);
    };
    api[name] = Object.assign(counted, { async: original.async });
  }
  try {
    const program = trace((g) => ({ y: tanh(linear(input(g, 'x', ['n', 3]), input(g, 'w', [2, 3]))) }));
    const values = { x: floats([4, 3]), w: floats([2, 3]), y: new Value('float32', [4, 2]) };
    const binding = program.bind(values, values);
    expect(counts).toMatchObject({
      CreateTensorWithDataAsOrtValue: 3,
      CreateIoBinding: 1,
      BindInput: 2,
      BindOutput: 1,
    });
    for (const name of Object.keys(counts)) delete counts[name];
    for (let i = 0; i < 10; i++) {
      values.x.data[0] = i;
      binding.run();
    }
    expect(counts).toEqual({ RunWithBinding: 10 });
    for (const name of Object.keys(counts)) delete counts[name];
    binding.release();
    for (const value of Object.values(values)) value.release();
    program.release();
    expect(counts).toEqual({ ReleaseIoBinding: 1, ReleaseValue: 3, ReleaseSession: 1 });
  } finally {
    Object.assign(api, originals);
  }
});

describe('programs', () => {
  it('write into the values they are bound to, from what these hold at the run', () => {
    const program = trace((g) => ({ y: mul(input(g, 'x', ['n']), 2) }));
    const values = { x: floats([3]), y: new Value('float32', [3]), unused: floats([1]) };
    const binding = program.bind(values, values);
    for (const x of [
      [1, 2, 3],
      [4, 5, 6],
    ]) {
      values.x.data.set(x);
      binding.run();
      expect(Array.from(values.y.data)).toEqual(x.map((v) => 2 * v));
    }
    binding.release();
    program.release();
    for (const value of Object.values(values)) value.release();
  });

  it('take any size of a symbolic dimension, and one size of a fixed one', () => {
    const build = (g: Graph) => {
      const x = input(g, 'x', ['n', 2]);
      return { y: add(x, 1), m: mean(x, { axes: [0] }), flat: reshape(x, ['2*n']) };
    };
    const free = trace(build);
    for (const n of [1, 2, 7]) {
      const x = Float32Array.from({ length: 2 * n }, (_, i) => i);
      const out = free.run({ x });
      expect(out.y).toEqual(x.map((v) => v + 1));
      expect(list(out.m)).toEqual([n - 1, n]);
      expect(out.flat).toEqual(x);
    }
    const fixed = trace(build, { dims: { n: 3 } });
    expect(list(fixed.run({ x: [1, 2, 3, 4, 5, 6] }).m)).toEqual([3, 4]);
    expect(() => fixed.run({ x: [1, 2] })).toThrow(heedError(/input x float32\[3, 2\] does not take 2 numbers/));
    free.release();
    fixed.release();
    // The size may be given to compile() as well: ONNX Runtime then puts it in place of the symbol.
    const later = compile(build(createGraph()), { dims: { n: 3 } });
    expect(list(later.run({ x: [1, 2, 3, 4, 5, 6] }).m)).toEqual([3, 4]);
    expect(() => later.run({ x: [1, 2] })).toThrow(heedError(/input x float32\[n, 2\] does not take 2 numbers/));
    later.release();
  });

  it('learn sizes from whichever input has them', () => {
    const program = trace((g) => {
      const mask = input(g, 'mask', ['past+time']);
      const [past, now] = [input(g, 'past', ['past']), input(g, 'now', ['time'])];
      return { y: add(mask, 1), z: add(past, 1), w: add(now, 1) };
    });
    const [mask, past, now] = [floats([5]), floats([3]), floats([2])];
    expect(program.run({ mask, past, now }).y.length).toBe(5);
    expect(program.run({ mask: mask.data, past, now }).y.length).toBe(5);
    expect(() => program.run({ mask: past, past, now })).toThrow(
      heedError(/input mask float32\[.*\] does not take a value float32\[3\]/, /past = 3, time = 2/),
    );
    for (const value of [mask, past, now]) value.release();
    program.release();
  });

  it('take empty batches', () => {
    const program = trace((g) => {
      const x = input(g, 'x', ['n', 3]);
      const w = input(g, 'w', [2, 3]);
      return { y: tanh(linear(x, w)), total: sum(x), wide: reshape(x, ['n', 1, 3]) };
    });
    const x = new Value('float32', [0, 3]);
    const out = program.run({ x, w: new Float32Array(6) });
    expect([out.y.length, out.wide.length, out.total[0]]).toEqual([0, 0, 0]);
    x.release();
    program.release();
  });

  it('give an input, a constant or one tensor twice as outputs', () => {
    const program = trace((g) => {
      const x = input(g, 'x', [2]);
      const y = mul(x, 3);
      return { same: x, fixed: constant(g, [5], []), y, again: y };
    });
    const out = program.run({ x: [1, 2] });
    expect(Object.fromEntries(Object.entries(out).map(([k, v]) => [k, list(v)]))).toEqual({
      same: [1, 2],
      fixed: [5],
      y: [3, 6],
      again: [3, 6],
    });
    program.release();
  });

  it('hold no weights: these are inputs', () => {
    const program = trace((g) => {
      const w = input(g, 'w', [1000, 1000]);
      const loss = mean(square(linear(input(g, 'x', ['n', 1000]), w)));
      return { loss, dw: gradients(loss, [w])[0] };
    });
    expect(program.model.length).toBeLessThan(4000);
    program.release();
  });

  it('leave out what the outputs do not need', () => {
    const program = trace((g) => {
      const x = input(g, 'x', [2]);
      exp(input(g, 'other', [3]));
      return { y: mul(x, 2) };
    });
    expect(program.inputs.map(({ name }) => name)).toEqual(['x']);
    program.release();
  });

  it('share a session where they are equal, until the last is released', () => {
    const before = sessionCount();
    const build = (factor: number) => (g: Graph) => ({ y: mul(input(g, 'x', ['n']), factor) });
    const [a, b, other] = [trace(build(2)), trace(build(2)), trace(build(3))];
    const sized = trace(build(2), { dims: { n: 2 } });
    expect(sessionCount() - before).toBe(3);
    a.release();
    a.release(); // a second time changes nothing
    expect(list(b.run({ x: [1, 2] }).y)).toEqual([2, 4]);
    for (const p of [b, other, sized]) p.release();
    expect(sessionCount()).toBe(before);
  });

  it('write a profile where asked', () => {
    const folder = mkdtempSync(join(tmpdir(), 'heed-profile-'));
    const program = trace((g) => ({ y: exp(input(g, 'x', [2])) }), { profile: join(folder, 'run') });
    program.run({ x: [1, 2] });
    program.release();
    expect(readdirSync(folder)).toEqual([expect.stringMatching(/^run.*\.json$/)]);
    rmSync(folder, { recursive: true });
  });
});

it('what is allocated does not lie on the heap of JavaScript, where small arrays move', () => {
  // V8 keeps up to 64 bytes there, unless the buffer is made first
  for (const dtype of ['float32', 'int64', 'bool'] as const) {
    for (const length of [0, 1, 8]) {
      const data = allocate(dtype, length);
      expect(data.length).toBe(length);
      expect(data.buffer.byteLength).toBeGreaterThanOrEqual(64);
    }
  }
});

describe('runs in another thread', () => {
  const heavy = () => {
    const program = trace((g) => {
      let x = input(g, 'x', [256, 256]);
      for (let i = 0; i < 30; i++) x = tanh(matmul(x, x, { scale: 1 / 16 }));
      return { y: x };
    });
    const values = { x: floats([256, 256]), y: new Value('float32', [256, 256]) };
    const release = () => {
      program.release();
      for (const value of Object.values(values)) value.release();
    };
    return { program, values, release };
  };

  it('leave the event loop free and agree with runs in this one', async () => {
    const { program, values, release } = heavy();
    const binding = program.bind(values, values);
    binding.run();
    const expected = values.y.data.slice();
    values.y.data.fill(0);
    let turns = 0;
    let done = false;
    const count = () => {
      if (done) return;
      turns++;
      setImmediate(count);
    };
    count();
    await binding.runAsync();
    done = true;
    expect(turns).toBeGreaterThan(2);
    expect(values.y.data).toEqual(expected);
    binding.release();
    release();
  });

  it('end well where everything is released meanwhile', async () => {
    const { program, values, release } = heavy();
    const binding = program.bind(values, values);
    binding.run();
    const expected = values.y.data.slice();
    const before = sessionCount();
    for (let i = 0; i < 3; i++) {
      const another = heavy();
      const bound = another.program.bind(another.values, another.values);
      const running = bound.runAsync();
      bound.release();
      another.release();
      await running;
      expect(another.values.y.data).toEqual(expected);
    }
    binding.release();
    release();
    expect(sessionCount()).toBe(before - 1);
  });

  it('reject with what went wrong', async () => {
    const program = trace((g) => ({ y: gather(input(g, 'table', [2]), input(g, 'i', [1], 'int32')) }));
    const values = { table: floats([2]), i: Value.of('int32', [1], [7]), y: new Value('float32', [1]) };
    const binding = program.bind(values, values);
    await expect(binding.runAsync()).rejects.toThrow(heedError(/ONNX Runtime: .*out of/));
    values.i.data[0] = 1;
    await binding.runAsync();
    expect(values.y.data[0]).toBe(values.table.data[1]);
    binding.release();
    await expect(binding.runAsync()).rejects.toThrow(heedError(/a binding is used after its release/));
    program.release();
    for (const value of Object.values(values)) value.release();
  });
});

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
      binding.release();
      return Object.fromEntries(Object.entries(to).map(([k, v]) => [k, list(v.data)]));
    });
    program.release();
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

  it('an optimiser updates its parameters and moments', () => {
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
      'normalised by rows, which ONNX Runtime fuses',
      (g) => {
        const last = { axes: [-1], keepDims: true };
        const centred = sub(x(g), mean(x(g), last));
        return mul(div(centred, sqrt(add(mean(square(centred), last), 1e-5))), input(g, 'b', [100]));
      },
    ],
    [
      'root mean square by rows',
      (g) =>
        mul(mul(x(g), pow(add(mean(square(x(g)), { axes: [-1], keepDims: true }), 1e-6), -0.5)), input(g, 'b', [100])),
    ],
    ['standardised', (g) => div(sub(x(g), mean(x(g))), sqrt(add(variance(x(g)), 1e-8)))],
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
    const error = heedError(message, /memory of its own/);
    expect(() => program.bind(values, outputs)).toThrow(error);
    expect(() => program.bind(values, outputs)).toThrow(new RegExp(`may not share the memory of input "${over}"`));
    program.release();
  });

  it('are refused where they only overlap, and among each other', () => {
    const program = trace((g) => ({ out: mul(input(g, 'x', [4]), 2), other: exp(input(g, 'y', [4])) }));
    const memory = floats([6]);
    const part = (from: number) => new Value('float32', [4], memory.data.subarray(from, from + 4));
    const [y, other] = [floats([4]), new Value('float32', [4])];
    expect(() => program.bind({ x: part(0), y }, { out: part(2), other })).toThrow(heedError(/the two only overlap/));
    expect(() => program.bind({ x: floats([4]), y }, { out: other, other })).toThrow(
      heedError(/outputs "out" and "other" share memory/, /memory of its own/),
    );
    program.release();
  });

  it('a second input over the same memory counts as well', () => {
    const program = trace((g) => {
      const a = input(g, 'a', [3, 3]);
      return { out: add(a, 1), product: matmul(input(g, 'b', [3, 3]), input(g, 'c', [3, 3])) };
    });
    const [a, c, product] = [floats([3, 3]), floats([3, 3]), new Value('float32', [3, 3])];
    expect(() => program.bind({ a, b: a, c }, { out: a, product })).toThrow(heedError(/memory of input "b"/));
    program.release();
  });
});

describe('errors name the tensor', () => {
  const build = (g: Graph) => ({
    y: add(input(g, 'policy.weight', ['n', 3]), mul(input(g, 'bias', [3]), 1.5)),
    count: sum(input(g, 'ids', ['n'], 'int32')),
  });

  it('when binding', () => {
    const program = trace(build);
    const inputs: Record<string, Value> = {
      'policy.weight': floats([2, 3]),
      bias: floats([3]),
      ids: Value.of('int32', [2], [1, 2]),
    };
    const outputs: Record<string, Value> = { y: new Value('float32', [2, 3]), count: new Value('int32', []) };
    const { bias: _, ...missing } = inputs;
    expect(() => program.bind(missing, outputs)).toThrow(
      heedError(/no value for input bias float32\[3\]/, /bind a value named "bias"/),
    );
    expect(() => program.bind(inputs, { count: outputs.count })).toThrow(heedError(/no value for output y float32/));
    const wrong: [string, Value, RegExp][] = [
      ['bias', floats([4]), /input bias float32\[3\] does not take a value float32\[4\]/],
      ['bias', floats([3, 1]), /input bias float32\[3\] does not take a value float32\[3, 1\]/],
      ['bias', Value.of('int32', [3], [1, 2, 3]), /input bias float32\[3\] does not take a value int32\[3\]/],
      ['ids', Value.of('int32', [5], [1, 2, 3, 4, 5]), /input ids int32\[n\] does not take a value int32\[5\]/],
      ['ids', Value.of('int64', [2], [1, 2]), /input ids int32\[n\] does not take a value int64\[2\]/],
    ];
    for (const [name, value, message] of wrong) {
      expect(() => program.bind({ ...inputs, [name]: value }, outputs)).toThrow(heedError(message));
    }
    expect(() => program.bind(inputs, { ...outputs, y: new Value('float32', [3, 3]) })).toThrow(
      heedError(/output y float32\[n, 3\] does not take a value float32\[3, 3\]/, /with n = 2/),
    );
    program.release();
  });

  it('when running on plain numbers', () => {
    const program = trace(build);
    const good = { 'policy.weight': [1, 2, 3], bias: [1, 2, 3], ids: [1] };
    expect(list(program.run(good).count)).toEqual([1]);
    const wrong: [Record<string, number | number[]>, RegExp][] = [
      [{ ...good, bias: [1, 2] }, /input bias float32\[3\] does not take 2 numbers/],
      [{ ...good, 'policy.weight': [1, 2, 3, 4] }, /input policy.weight float32\[n, 3\] does not take 4 numbers/],
      [{ ...good, ids: [1, 2] }, /input ids int32\[n\] does not take 2 numbers/],
      [{ ...good, ids: [1.5] }, /input ids int32\[n\] cannot hold 1.5/],
      [{ ...good, ids: [2 ** 31] }, /input ids int32\[n\] cannot hold 2147483648/],
      [{ ...good, ids: [Number.NaN] }, /input ids int32\[n\] cannot hold NaN/],
      [{ bias: [1, 2, 3], ids: [1] }, /no value for input policy.weight/],
    ];
    for (const [given, message] of wrong) expect(() => program.run(given)).toThrow(heedError(message));
    expect(list(program.run(good).count)).toEqual([1]); // nothing of the failed runs stays
    program.release();
    const square = trace((g) => ({ y: add(input(g, 'x', ['a', 'b']), 1) }));
    expect(() => square.run({ x: [1, 2, 3, 4] })).toThrow(heedError(/input x float32\[a, b\]/, /give a Value/));
    square.release();
  });

  it('after a release', () => {
    const program = trace(build);
    const inputs = { 'policy.weight': floats([2, 3]), bias: floats([3]), ids: Value.of('int32', [2], [1, 2]) };
    const outputs = { y: new Value('float32', [2, 3]), count: new Value('int32', []) };
    const [first, second] = [program.bind(inputs, outputs), program.bind(inputs, outputs)];
    first.run();
    first.release();
    first.release();
    expect(() => first.run()).toThrow(heedError(/a binding is used after its release/));
    second.run(); // has a binding of its own
    program.release();
    program.release();
    expect(() => second.run()).toThrow(heedError(/a binding is used after its program's release/));
    expect(() => program.bind(inputs, outputs)).toThrow(heedError(/a program is used after its release/));
    expect(() => program.run({})).toThrow(heedError(/a program is used after its release/));
    second.release();
    inputs.bias.release();
    inputs.bias.release();
    const again = trace(build);
    expect(() => again.bind(inputs, outputs)).toThrow(heedError(/float32\[3\] is used after its release/));
    again.release();
  });

  it('when making values', () => {
    expect(() => new Value('float32', [2, -1])).toThrow(heedError(/\[2, -1\] is not the shape of a value/));
    expect(() => new Value('float32', [1.5])).toThrow(heedError(/\[1.5\] is not the shape/));
    expect(() => new Value('float32', [2], new Float32Array(3))).toThrow(
      heedError(/a value float32\[2\] needs 2 elements in a Float32Array, got 3 in a Float32Array/),
    );
    expect(() => new Value('int64', [2], new Int32Array(2) as never)).toThrow(heedError(/BigInt64Array.* Int32Array/));
    expect(() => Value.of('float32', [2], [1])).toThrow(heedError(/float32\[2\] needs 2 numbers, got 1/));
    expect(() => Value.of('int64', [1], [0.5])).toThrow(heedError(/int64\[1\] cannot hold 0.5/));
    expect(() => Value.of('uint8', [1], [256])).toThrow(heedError(/uint8\[1\] cannot hold 256/));
    expect(() => Value.of('int32', [1], [5n])).toThrow(heedError(/int32\[1\] cannot hold 5/));
    const wide = Value.of('int64', [2], [5n, -6]);
    expect(wide.data).toEqual(BigInt64Array.of(5n, -6n));
    wide.release();
  });

  it('when tracing', () => {
    const g = createGraph();
    const x = input(g, 'x', ['n', 2]);
    expect(input(g, 'x', ['n', 2])).toBe(x);
    const wrong: [() => unknown, RegExp][] = [
      [() => input(g, 'x', ['m', 2]), /input "x" is declared twice: x float32\[n, 2\] and x float32\[m, 2\]/],
      [() => input(g, '%x', [2]), /input "%x" starts with %/],
      [() => input(g, 'y', ['2n']), /"2n" is not a dimension/],
      [() => constant(g, [1, 2], [3]), /a constant of shape \[3\] needs 3 values, got 2/],
      [() => add(x, input(createGraph(), 'other', [2])), /are of two graphs/],
      [() => compile({}), /a program needs an output/],
      [() => compile({ x }), /output "x" has the name of an input/],
      [() => compile({ y: add(x, 1), z: input(createGraph(), 'z', []) }), /output "z" is of another graph/],
      [() => gradients(x, [x]), /a loss must be a float32 scalar, got x float32\[n, 2\]/],
      [() => gradients(sum(input(g, 'i', [2], 'int32')), [x]), /a loss must be a float32 scalar/],
      [() => gradients(sum(x), [input(g, 'unused', [2])]), /the loss does not depend on unused float32\[2\]/],
      [() => gradients(sum(stopGradient(x)), [x]), /the loss does not depend on x/],
      [() => reshape(x, ['m', 2]), /reshape: x float32\[n, 2\] does not fit \[m, 2\]/],
      [() => constant(g, [1], [], 'int32') && add(constant(g, [1], [], 'int32'), 1.5), /int32\[\] cannot hold 1.5/],
    ];
    for (const [make, message] of wrong) expect(make, `${message}`).toThrow(heedError(message));
  });
});
