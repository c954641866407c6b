/** What is said where a program, a value or a graph is used wrongly. */
import { describe, expect, it } from 'vitest';
import { floats, heedError, list } from '../../test/support/gradients.ts';
import {
  add,
  constant,
  createGraph,
  type Graph,
  gradients,
  input,
  mul,
  reshape,
  stopGradient,
  sum,
  trace,
  Value,
} from './index.ts';
import { compile } from './program.ts';

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
    const outputs = { y: new Value('float32', [2, 3]), count: new Value('int32', []) };
    const { bias: _, ...missing } = inputs;
    expect(() => program.bind(missing, outputs)).toThrow(
      heedError(/no value for input bias float32\[3\]/, /bind a value named "bias"/),
    );
    // @ts-expect-error: y is missing
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
    program[Symbol.dispose]();
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
    for (const [inputs, message] of wrong) expect(() => program.run(inputs)).toThrow(heedError(message));
    expect(list(program.run(good).count)).toEqual([1]); // nothing of the failed runs stays
    program[Symbol.dispose]();
    const square = trace((g) => ({ y: add(input(g, 'x', ['a', 'b']), 1) }));
    expect(() => square.run({ x: [1, 2, 3, 4] })).toThrow(heedError(/input x float32\[a, b\]/, /pass a Value/));
    square[Symbol.dispose]();
  });

  it('after disposal', () => {
    const program = trace(build);
    const inputs = { 'policy.weight': floats([2, 3]), bias: floats([3]), ids: Value.of('int32', [2], [1, 2]) };
    const outputs = { y: new Value('float32', [2, 3]), count: new Value('int32', []) };
    const [first, second] = [program.bind(inputs, outputs), program.bind(inputs, outputs)];
    first.run();
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(() => first.run()).toThrow(heedError(/a binding was used after it was disposed of/));
    second.run(); // has a binding of its own
    program[Symbol.dispose]();
    program[Symbol.dispose]();
    expect(() => second.run()).toThrow(heedError(/a binding was used after its program was disposed of/));
    expect(() => program.bind(inputs, outputs)).toThrow(heedError(/a program was used after it was disposed of/));
    expect(() => program.run({})).toThrow(heedError(/a program was used after it was disposed of/));
    second[Symbol.dispose]();
    inputs.bias[Symbol.dispose]();
    inputs.bias[Symbol.dispose]();
    const again = trace(build);
    expect(() => again.bind(inputs, outputs)).toThrow(heedError(/float32\[3\] was used after it was disposed of/));
    again[Symbol.dispose]();
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
    wide[Symbol.dispose]();
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
