import { describe, expect, test } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import { add, type Graph, input, mean, sqrt, square, sub, sum } from '../engine/index.ts';
import { sessionCount } from '../engine/program.ts';
import { HeedError } from '../error.ts';
import { random } from '../random.ts';
import { ones } from './initialize.ts';
import { mlp } from './mlp.ts';
import { createOptimizer } from './optimizer.ts';
import { createParameters } from './parameters.ts';
import { createTrainStep, type TrainStep, type TrainStepOptions } from './train-step.ts';

const network = mlp('net', { sizes: [3, 8, 2] });
const build = (g: Graph) => {
  const error = sub(network.apply(input(g, 'x', ['n', 3])), input(g, 'y', ['n', 2]));
  return { loss: mean(square(error)), largest: sum(square(error)) };
};

const keep = releasedAfterwards();

function setup(rows: number, options: Partial<TrainStepOptions> = {}) {
  const parameters = keep(createParameters(network.parameters, random(1)));
  const step = keep(createTrainStep(parameters, build, { dims: { n: rows }, ...options }));
  return { parameters, step };
}

const rows = (count: number, width: number) => {
  const rng = random(2, width);
  return Float32Array.from({ length: count * width }, () => rng.normal());
};
const data = { x: rows(8, 3), y: rows(8, 2) };

function fill(step: TrainStep, from: number, to: number) {
  (step.inputs.x.data as Float32Array).set(data.x.subarray(from * 3, to * 3));
  (step.inputs.y.data as Float32Array).set(data.y.subarray(from * 2, to * 2));
  return step;
}

const expectClose = (a: Float32Array, b: Float32Array) =>
  expect(Math.max(...a.map((v, i) => Math.abs(v - b[i])))).toBeLessThan(1e-6);

test('gives the loss, other outputs, and the gradients of the last run', () => {
  const { parameters, step } = setup(8);
  expect(Object.keys(step.inputs).sort()).toEqual(['x', 'y']);
  const outputs = fill(step, 0, 8).run();
  expect(Object.keys(outputs).sort()).toEqual(['largest', 'loss']);
  const loss = outputs.loss.data[0] as number;
  expect(outputs.largest.data[0]).toBeCloseTo(loss * 16, 3);
  const gradient = step.gradients.flat.slice();
  step.run();
  expect(step.gradients.flat).toEqual(gradient);
  parameters.flat.forEach((p, i) => {
    if (gradient[i] === 0) return;
    const at = (value: number) => {
      parameters.flat[i] = value;
      return step.run().loss.data[0] as number;
    };
    expect((at(p + 1e-2) - at(p - 1e-2)) / 2e-2).toBeCloseTo(gradient[i], 2);
    parameters.flat[i] = p;
  });
});

describe('accumulation', () => {
  test('two half batches are one whole batch', () => {
    const whole = setup(8);
    fill(whole.step, 0, 8).run();
    const half = setup(4, { accumulate: true });
    expect(Object.keys(half.step.inputs).sort()).toEqual(['x', 'y']);
    for (let round = 0; round < 2; round++) {
      half.step.reset();
      fill(half.step, 0, 4).run(0.5);
      fill(half.step, 4, 8).run(0.5);
      expectClose(half.step.gradients.flat, whole.step.gradients.flat);
    }
    const [a, b] = [whole, half].map(({ parameters, step }) => {
      const optimizer = keep(createOptimizer(parameters, step.gradients, { kind: 'adamw', maxGradientNorm: 0.1 }));
      optimizer.step(0.01);
      return parameters.flat;
    });
    expectClose(a, b);
  });

  test('parts of different sizes count by their weights; the loss is not weighted', () => {
    const whole = setup(8);
    const loss = fill(whole.step, 0, 8).run().loss.data[0] as number;
    const small = setup(2, { accumulate: true }).step;
    let total = 0;
    for (let from = 0; from < 8; from += 2) total += fill(small, from, from + 2).run(2 / 8).loss.data[0] as number;
    expectClose(small.gradients.flat, whole.step.gradients.flat);
    expect(total / 4).toBeCloseTo(loss, 5);
  });

  test('a weight without accumulation is refused', () => {
    expect(() => setup(4).step.run(0.5)).toThrow(/a run's weight is 0.5/);
  });
});

const thrown = (act: () => unknown): HeedError => {
  try {
    act();
  } catch (error) {
    if (error instanceof HeedError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('a loss that is not finite', () => {
  test('names the input that was not, and leaves the parameters', () => {
    const { parameters, step } = setup(4);
    const before = parameters.flat.slice();
    fill(step, 0, 4).inputs.y.data[3] = Number.NaN;
    const error = thrown(() => step.run());
    expect(error.message).toBe('the loss is NaN: its input "y" is not finite');
    expect(error.hint).toMatch(/parameters are as they were/);
    expect(parameters.flat).toEqual(before);
  });

  test('names the parameter that was not', () => {
    const { parameters, step } = setup(4);
    parameters.values['net.1.bias'].data[0] = Number.POSITIVE_INFINITY;
    expect(thrown(() => fill(step, 0, 4).run()).message).toBe(
      'the loss is Infinity: the parameter "net.1.bias" is not finite',
    );
  });

  test('or says that all was finite', () => {
    const { step } = setup(4);
    fill(step, 0, 4).inputs.y.data.fill(1e30 as never);
    expect(thrown(() => step.run()).message).toBe('the loss is Infinity, though its inputs and parameters are finite');
  });

  test('spoils a sum only until the reset', () => {
    const { step } = setup(4, { accumulate: true });
    fill(step, 0, 4).run();
    const good = step.gradients.flat.slice();
    step.inputs.y.data[0] = Number.NaN;
    expect(() => step.run()).toThrow(HeedError);
    step.reset();
    fill(step, 0, 4).run();
    expect(step.gradients.flat).toEqual(good);
  });
});

test('a gradient that is not finite, of a loss that is, stops at the optimizer, by name', () => {
  const specs = ['w', 'v'].map((name) => ({ name, shape: [2], initialize: ones }));
  const parameters = keep(createParameters(specs, random(0)));
  const root = (g: Graph) => ({ loss: add(sum(sqrt(input(g, 'v', [2]))), sum(input(g, 'w', [2]))) });
  const step = keep(createTrainStep(parameters, root, { dims: {} }));
  const optimizer = keep(createOptimizer(parameters, step.gradients, { kind: 'adam' }));
  parameters.values.v.data[1] = 0;
  const before = parameters.flat.slice();
  expect(step.run().loss.data[0]).toBe(3);
  expect(thrown(() => optimizer.step(0.1)).message).toBe('the gradient of "v" is not finite');
  expect(optimizer.state.steps).toBe(0);
  expect(parameters.flat).toEqual(before);
});

test('releases what it made', () => {
  const before = sessionCount();
  const { step } = setup(4);
  expect(sessionCount()).toBe(before + 1);
  step[Symbol.dispose]();
  step[Symbol.dispose]();
  expect(sessionCount()).toBe(before);
});
