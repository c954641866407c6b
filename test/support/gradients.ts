/** Checks traced ops against plain JavaScript: values by a reference, gradients by differences. */
import { expect } from 'vitest';
import { evaluateDim } from '../../src/engine/dims.ts';
import {
  type DType,
  type Graph,
  gradients,
  input,
  mul,
  type Program,
  type Shape,
  sum,
  type Tensor,
  trace,
  Value,
} from '../../src/engine/index.ts';
import { random } from '../../src/random.ts';

export interface Numbers {
  shape: readonly number[];
  data: number[];
  dtype?: DType;
}
export type Inputs = Record<string, Numbers>;
export type Build = (tensors: Record<string, Tensor>, graph: Graph) => Tensor;

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Numbers from [low, high), always the same for the same shape and seed. */
export function numbers(shape: readonly number[], { low = -1, high = 1, seed = 0 } = {}): Numbers {
  const { uniform } = random(seed, 'numbers', ...shape);
  return { shape, data: Array.from({ length: sizeOf(shape) }, () => low + (high - low) * uniform()) };
}

export const of = (shape: readonly number[], data: number[], dtype: DType = 'float32'): Numbers => ({
  shape,
  data,
  dtype,
});

/** NumPy's broadcasting in plain JavaScript. */
export function broadcast(f: (...values: number[]) => number, ...args: Numbers[]): Numbers {
  const rank = Math.max(...args.map((a) => a.shape.length));
  const padded = args.map((a) => [...Array(rank - a.shape.length).fill(1), ...a.shape]);
  const shape = Array.from({ length: rank }, (_, i) => Math.max(...padded.map((s) => s[i])));
  return fill(shape, (at) =>
    f(...args.map((a, k) => a.data[at.reduce((flat, v, i) => flat * padded[k][i] + (padded[k][i] === 1 ? 0 : v), 0)])),
  );
}

/** Numbers from a function of the index. */
export function fill(shape: readonly number[], f: (at: number[]) => number): Numbers {
  const data = Array.from({ length: sizeOf(shape) }, (_, flat) => {
    const at: number[] = [];
    for (let i = shape.length - 1, rest = flat; i >= 0; i--) {
      at.unshift(rest % shape[i]);
      rest = Math.floor(rest / shape[i]);
    }
    return f(at);
  });
  return { shape, data };
}

/** One element. */
export const at = ({ shape, data }: Numbers, ...index: number[]): number =>
  data[index.reduce((flat, v, i) => flat * shape[i] + v, 0)];

/**
 * Every dimension above 1 as a symbol named by its size, so that a test of fixed shapes is one of symbolic shapes too:
 * [2, 1, 3] → ['size2', 1, 'size3'].
 */
const symbolic = (shape: readonly number[]): Shape => shape.map((d) => (d > 1 ? `size${d}` : d));

/** size1 = 1, size2 = 2, …: what the symbols above stand for. */
const sizesByName = Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`size${n}`, n]));

function program(build: Build, inputs: Inputs, symbols: boolean) {
  return (outputs: (y: Tensor, tensors: Record<string, Tensor>) => Record<string, Tensor>) =>
    trace((graph) => {
      const tensors = Object.fromEntries(
        Object.entries(inputs).map(([name, { shape, dtype }]) => [
          name,
          input(graph, name, symbols ? symbolic(shape) : shape, dtype),
        ]),
      );
      return outputs(build(tensors, graph), tensors);
    });
}

/** Runs on values, which have shapes, so that any number of dimensions may be symbols. */
function run(p: Program, inputs: Inputs): Record<string, ArrayLike<number | bigint>> {
  const values = Object.entries(inputs).map(
    ([name, { shape, data, dtype = 'float32' }]) => [name, Value.of(dtype, shape, data)] as const,
  );
  try {
    return p.run(Object.fromEntries(values));
  } finally {
    for (const [, value] of values) value[Symbol.dispose]();
  }
}

/** The value of `build`, as numbers. */
export function evaluate(build: Build, inputs: Inputs, symbols = false): number[] {
  const p = program(build, inputs, symbols)((result) => ({ result }));
  try {
    return Array.from(run(p, inputs).result, Number);
  } finally {
    p[Symbol.dispose]();
  }
}

export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what = '',
): void {
  expect(actual.length, `${what}: length`).toBe(expected.length);
  let worst = { i: 0, error: 0 };
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i]) || actual[i] === expected[i]) continue;
    const error = Math.abs(actual[i] - expected[i]) / Math.max(1, Math.abs(expected[i]));
    if (!(error <= worst.error)) worst = { i, error };
    if (Number.isNaN(error)) break;
  }
  const { i, error } = worst;
  expect(error, `${what}[${i}]: got ${actual[i]}, expected ${expected[i]}`).toBeLessThanOrEqual(tolerance);
}

export interface CheckOptions {
  /** Inputs that are differentiated; the float ones where absent. */
  wrt?: string[];
  /** Of an element, relative to the larger of it and 1. */
  tolerance?: number;
  /** Also with symbolic dimensions. */
  symbols?: boolean;
  /** How far an input is moved. */
  step?: number;
}

/**
 * Compares traced gradients of Σ y·c, for fixed random c, with central differences of fourth order of the traced value
 * (the sum taken in double precision). Returns the largest error.
 */
export function checkGradient(build: Build, inputs: Inputs, options: CheckOptions = {}): number {
  const { tolerance = 5e-4, step = 0.02 } = options;
  const wrt = options.wrt ?? Object.keys(inputs).filter((name) => (inputs[name].dtype ?? 'float32') === 'float32');
  let largest = 0;
  for (const symbols of options.symbols === false ? [false] : [false, true]) {
    const traced = program(build, inputs, symbols);
    let shape: Shape = [];
    const forward = traced((y) => {
      shape = y.shape;
      return { result: y };
    });
    const sizes = shape.map((d) => evaluateDim(d, sizesByName));
    const cotangent = numbers(sizes, { seed: 7 });
    const backward = traced((y, tensors) => {
      const c = input(y.graph, 'cotangent', y.shape);
      const found = gradients(
        sum(mul(y, c)),
        wrt.map((name) => tensors[name]),
      );
      return Object.fromEntries(found.map((g, i) => [`d${wrt[i]}`, g]));
    });
    const actual = run(backward, { ...inputs, cotangent });
    for (const name of wrt) {
      const expected = inputs[name].data.map((_, i) => {
        const value = (by: number) => {
          const moved = [...inputs[name].data];
          moved[i] = Math.fround(Math.fround(moved[i]) + by);
          const { result } = run(forward, { ...inputs, [name]: { ...inputs[name], data: moved } });
          return { x: moved[i], y: Array.from(result, Number) };
        };
        const slope = (by: number) => {
          const [low, high] = [value(-by), value(by)];
          return high.y.reduce((s, y, k) => s + cotangent.data[k] * (y - low.y[k]), 0) / (high.x - low.x);
        };
        return (4 * slope(step) - slope(2 * step)) / 3;
      });
      const what = `d${name}${symbols ? ' (symbolic)' : ''}`;
      expectClose(actual[`d${name}`] as Float32Array, expected, tolerance, what);
      for (let i = 0; i < expected.length; i++) {
        largest = Math.max(
          largest,
          Math.abs(Number(actual[`d${name}`][i]) - expected[i]) / Math.max(1, Math.abs(expected[i])),
        );
      }
    }
    forward[Symbol.dispose]();
    backward[Symbol.dispose]();
  }
  return largest;
}

/** Compares the value with a reference and every gradient with differences, with fixed and with symbolic dimensions. */
export function checkOp(build: Build, inputs: Inputs, reference: Numbers | number[], options: CheckOptions = {}): void {
  const expected = Array.isArray(reference) ? reference : reference.data;
  for (const symbols of options.symbols === false ? [false] : [false, true]) {
    expectClose(evaluate(build, inputs, symbols), expected, 2e-6, symbols ? 'value (symbolic)' : 'value');
  }
  if (options.wrt?.length !== 0) checkGradient(build, inputs, options);
}

/** An expected HeedError, by its message and hint. */
export const heedError = (message: RegExp, hint?: RegExp) =>
  expect.objectContaining({
    name: 'HeedError',
    message: expect.stringMatching(message),
    ...(hint ? { hint: expect.stringMatching(hint) } : {}),
  });
export const list = (data: ArrayLike<number | bigint>) => Array.from(data, Number);
export const floats = (shape: readonly number[], seed = 0) => Value.of('float32', shape, numbers(shape, { seed }).data);
