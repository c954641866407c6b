import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { floats, heedError, list } from '../../test/support/gradients.ts';
import {
  add,
  allocate,
  constant,
  createGraph,
  exp,
  type Graph,
  gather,
  gradients,
  input,
  linear,
  matmul,
  mean,
  mul,
  reshape,
  square,
  sum,
  tanh,
  trace,
  Value,
} from './index.ts';
import { compile, sessionCount } from './program.ts';
import { nativeEngine } from './runtime/native.ts';

it('a run calls native code once', () => {
  const { api } = nativeEngine();
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
    binding.run(); // opens and binds
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
    binding[Symbol.dispose]();
    for (const value of Object.values(values)) value[Symbol.dispose]();
    program[Symbol.dispose]();
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
    binding[Symbol.dispose]();
    program[Symbol.dispose]();
    for (const value of Object.values(values)) value[Symbol.dispose]();
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
    free[Symbol.dispose]();
    fixed[Symbol.dispose]();
    // The size may be given to compile() as well: ONNX Runtime then puts it in place of the symbol.
    const later = compile(build(createGraph()), { dims: { n: 3 } });
    expect(list(later.run({ x: [1, 2, 3, 4, 5, 6] }).m)).toEqual([3, 4]);
    expect(() => later.run({ x: [1, 2] })).toThrow(heedError(/input x float32\[n, 2\] does not take 2 numbers/));
    later[Symbol.dispose]();
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
    for (const value of [mask, past, now]) value[Symbol.dispose]();
    program[Symbol.dispose]();
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
    x[Symbol.dispose]();
    program[Symbol.dispose]();
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
    program[Symbol.dispose]();
  });

  it('hold no weights: these are inputs', () => {
    const program = trace((g) => {
      const w = input(g, 'w', [1000, 1000]);
      const loss = mean(square(linear(input(g, 'x', ['n', 1000]), w)));
      return { loss, dw: gradients(loss, [w])[0] };
    });
    expect(program.model.length).toBeLessThan(4000);
    program[Symbol.dispose]();
  });

  it('keep values that never change as their own', () => {
    const size = 40;
    const build = (g: Graph) => {
      const x = input(g, 'x', ['n', size]);
      const product = linear(x, input(g, 'w', [size, size]), input(g, 'b', [size]));
      return { y: add(product, gather(input(g, 'table', [3, size]), input(g, 'row', ['n'], 'int32'))) };
    };
    const weights = () => ({ w: floats([size, size], 1), b: floats([size], 2), table: floats([3, size], 3) });
    const plain = trace(build);
    const program = trace(build, { fixed: { ...weights(), other: floats([1]) } });
    expect(program.inputs.map(({ name }) => name)).toEqual(['x', 'row']);
    expect(program.model.length).toBeLessThan(plain.model.length + 1000);
    const inputs = { x: floats([2, size]), row: [2, 0] };
    const expected = list(plain.run({ ...inputs, ...weights() }).y);
    list(program.run(inputs).y).forEach((y, i) => {
      expect(y).toBeCloseTo(expected[i], 4);
    });
    // equal graphs with other values are other programs
    const negative = Object.fromEntries(
      Object.entries(weights()).map(([name, { shape, data }]) => [
        name,
        Value.of(
          'float32',
          shape,
          data.map((x) => -x),
        ),
      ]),
    );
    const another = trace(build, { fixed: negative });
    list(another.run(inputs).y).forEach((y, i) => {
      expect(y).toBeCloseTo(-expected[i], 4);
    });
    for (const each of [plain, program, another]) each[Symbol.dispose]();
    expect(() => trace(build, { fixed: { w: floats([size]) } })).toThrow(heedError(/fixed input w float32\[40, 40\]/));
  });

  it('leave out what the outputs do not need', () => {
    const program = trace((g) => {
      const x = input(g, 'x', [2]);
      exp(input(g, 'other', [3]));
      return { y: mul(x, 2) };
    });
    expect(program.inputs.map(({ name }) => name)).toEqual(['x']);
    program[Symbol.dispose]();
  });

  it('share a session where they are equal, until the last is disposed of', () => {
    const before = sessionCount();
    const build = (factor: number) => (g: Graph) => ({ y: mul(input(g, 'x', ['n']), factor) });
    const [a, b, other] = [trace(build(2)), trace(build(2)), trace(build(3))];
    const sized = trace(build(2), { dims: { n: 2 } });
    expect(sessionCount() - before).toBe(3);
    a[Symbol.dispose]();
    a[Symbol.dispose](); // a second time changes nothing
    expect(list(b.run({ x: [1, 2] }).y)).toEqual([2, 4]);
    for (const p of [b, other, sized]) p[Symbol.dispose]();
    expect(sessionCount()).toBe(before);
  });

  it('write a profile where asked', () => {
    const folder = mkdtempSync(join(tmpdir(), 'heed-profile-'));
    const program = trace((g) => ({ y: exp(input(g, 'x', [2])) }), { profile: join(folder, 'run') });
    program.run({ x: [1, 2] });
    program[Symbol.dispose]();
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
    const dispose = () => {
      program[Symbol.dispose]();
      for (const value of Object.values(values)) value[Symbol.dispose]();
    };
    return { program, values, [Symbol.dispose]: dispose };
  };

  it('leave the event loop free and agree with runs in this one', async () => {
    const { program, values, [Symbol.dispose]: dispose } = heavy();
    const binding = program.bind(values, values);
    binding.run();
    const expected = values.y.data.slice();
    values.y.data.fill(0);
    const turnsMeanwhile = async () => {
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
      return turns;
    };
    // a run on this thread never leaves it any; on a busy machine another may end before the loop has its turn
    let most = 0;
    for (let tries = 0; tries < 20 && most <= 2; tries++) most = Math.max(most, await turnsMeanwhile());
    expect(most).toBeGreaterThan(2);
    expect(values.y.data).toEqual(expected);
    binding[Symbol.dispose]();
    dispose();
  });

  it('end well where everything is disposed of meanwhile', async () => {
    const { program, values, [Symbol.dispose]: dispose } = heavy();
    const binding = program.bind(values, values);
    binding.run();
    const expected = values.y.data.slice();
    const before = sessionCount();
    for (let i = 0; i < 3; i++) {
      const another = heavy();
      const bound = another.program.bind(another.values, another.values);
      const running = bound.runAsync();
      bound[Symbol.dispose]();
      another[Symbol.dispose]();
      await running;
      expect(another.values.y.data).toEqual(expected);
    }
    binding[Symbol.dispose]();
    dispose();
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
    binding[Symbol.dispose]();
    await expect(binding.runAsync()).rejects.toThrow(heedError(/a binding was used after it was disposed of/));
    program[Symbol.dispose]();
    for (const value of Object.values(values)) value[Symbol.dispose]();
  });
});

describe('declared inputs', () => {
  const traced = () =>
    trace({ x: ['n', 2], at: { dtype: 'int32', shape: ['n'] } }, ({ x, at }) => ({
      y: gather(mul(x, 2), at),
      count: sum(at),
    }));

  it('name the inputs and outputs of a program, and give their dtypes', () => {
    const program = traced();
    const { y, count } = program.run({ x: [1, 2, 3, 4], at: [1, 1] });
    expect([list(y), list(count)]).toEqual([[6, 8, 6, 8], [2]]);
    const inputs = { x: Value.of('float32', [2, 2], [1, 2, 3, 4]), at: Value.of('int32', [2], [0, 1]) };
    const outputs = { y: new Value('float32', [2, 2]), count: new Value('int32', []) };
    program.bind(inputs, outputs).run();
    expect([list(outputs.y.data), outputs.count.item()]).toEqual([[2, 4, 6, 8], 1]);
    program[Symbol.dispose]();
  });

  it('make a wrong name or dtype a compile-time error, and one when it runs', () => {
    const program = traced();
    // @ts-expect-error: at is missing
    expect(() => program.run({ x: [1, 2], att: [0] })).toThrow(heedError(/no value for input at int32\[n\]/));
    const floatsOnly = { x: floats([1, 2]), at: floats([1]) };
    const outputs = { y: new Value('float32', [1, 2]), count: new Value('int32', []) };
    // @ts-expect-error: at is int32
    expect(() => program.bind(floatsOnly, outputs)).toThrow(heedError(/does not take a value float32\[1\]/));
    // @ts-expect-error: there is no output z
    expect(program.run({ x: [1, 2], at: [0] }).z).toBeUndefined();
    // @ts-expect-error: there is no input y
    expect(() => trace({ x: ['n'] }, ({ y }) => ({ z: y }))).toThrow(heedError(/there is no input "y"/, /there are x/));
    program[Symbol.dispose]();
  });

  it('a value of one element gives its number', () => {
    expect(Value.of('float32', [1, 1], [0.5]).item()).toBe(0.5);
    expect(Value.of('int64', [], [7n]).item()).toBe(7);
    expect(() => floats([2]).item()).toThrow(heedError(/float32\[2\] is not a single number/, /read its data/));
  });
});
