import { expect, test } from 'vitest';
import { releasedAfterwards } from '../../test/support/released.ts';
import { input, mean, square, sub, sum, trace } from '../engine/index.ts';
import { random } from '../random.ts';
import { type CnnOptions, cnn, natureCnn } from './cnn.ts';
import { normal } from './initialize.ts';
import { createParameters } from './parameters.ts';
import { createTrainStep } from './train-step.ts';

const keep = releasedAfterwards();

const tiny: CnnOptions = {
  input: [2, 7, 6],
  layers: [
    { channels: 3, kernel: 3, stride: 2, padding: 1 },
    { channels: 4, kernel: 2 },
  ],
  dense: 5,
};
const numbers = (count: number) => {
  const rng = random(5);
  return Float32Array.from({ length: count }, () => rng.normal());
};

/** The tiny trunk in plain loops. */
function plain(x: Float32Array, weights: Record<string, Float32Array>): number[] {
  let [channels, height, width] = tiny.input;
  let image = Array.from(x);
  tiny.layers.forEach(({ channels: out, kernel, stride = 1, padding = 0 }, layer) => {
    const [w, b] = [weights[`t.${layer}.weight`], weights[`t.${layer}.bias`]];
    const size = (s: number) => Math.floor((s + 2 * padding - kernel) / stride) + 1;
    const next: number[] = [];
    for (let o = 0; o < out; o++) {
      for (let r = 0; r < size(height); r++) {
        for (let c = 0; c < size(width); c++) {
          let total = b[o];
          for (let i = 0; i < channels; i++) {
            for (let kr = 0; kr < kernel; kr++) {
              for (let kc = 0; kc < kernel; kc++) {
                const [y, z] = [r * stride + kr - padding, c * stride + kc - padding];
                if (y < 0 || z < 0 || y >= height || z >= width) continue;
                total += image[(i * height + y) * width + z] * w[((o * channels + i) * kernel + kr) * kernel + kc];
              }
            }
          }
          next.push(Math.max(0, total));
        }
      }
    }
    [image, channels, height, width] = [next, out, size(height), size(width)];
  });
  const [w, b] = [weights['t.2.weight'], weights['t.2.bias']];
  return Array.from(b, (bias, o) =>
    Math.max(
      0,
      image.reduce((s, v, i) => s + v * w[o * image.length + i], bias),
    ),
  );
}

test('a tiny trunk is the plain loops', () => {
  const network = cnn('t', tiny);
  const weights = Object.fromEntries(
    network.parameters.map(({ name, shape }) => [name, numbers(shape.reduce((a, b) => a * b, 1))]),
  );
  const program = keep(trace((g) => ({ y: network.apply(input(g, 'x', ['n', 2, 7, 6])) })));
  const x = numbers(3 * 84);
  const y = program.run({ ...weights, x }).y as Float32Array;
  const expected = [0, 1, 2].flatMap((n) => plain(x.subarray(n * 84, (n + 1) * 84), weights));
  expect(expected.some((v) => v > 0)).toBe(true);
  expected.forEach((v, i) => {
    expect(Math.abs(y[i] - v)).toBeLessThan(1e-4);
  });
});

test('a tiny trunk has the gradients of finite differences', () => {
  const network = cnn('t', { ...tiny, initialize: normal(0.5) });
  const parameters = keep(createParameters(network.parameters, random(1)));
  const step = keep(
    createTrainStep(
      parameters,
      { x: ['n', 2, 7, 6] },
      ({ x }) => {
        const y = network.apply(x);
        return { loss: mean(square(sub(y, 1))), alive: sum(y) };
      },
      { dims: { n: 3 } },
    ),
  );
  step.inputs.x.data.set(numbers(3 * 84));
  expect(step.run().alive.item()).toBeGreaterThan(0);
  const gradients = step.gradients.flat.slice();
  expect(network.parameters.every(({ name }) => step.gradients.values[name].data.some((d) => d !== 0))).toBe(true);
  const wrong: string[] = [];
  parameters.specs.forEach(({ name }, s) => {
    for (let i = parameters.ranges[s].start; i < parameters.ranges[s].end; i++) {
      const p = parameters.flat[i];
      const at = (delta: number) => {
        parameters.flat[i] = p + delta;
        const loss = step.run().loss.item();
        parameters.flat[i] = p;
        return loss;
      };
      // relu's kinks may lie within one step: a smaller step must then agree
      const close = [1e-2, 1e-3].some(
        (h) => Math.abs((at(h) - at(-h)) / (2 * h) - gradients[i]) < 5e-3 + 1e-2 * Math.abs(gradients[i]),
      );
      if (!close) wrong.push(`${name} ${i}: ${gradients[i]}, by differences ${(at(1e-3) - at(-1e-3)) / 2e-3}`);
    }
  });
  expect(wrong).toEqual([]);
});

test('the Nature trunk has its shapes', () => {
  const { parameters, apply } = natureCnn('trunk', [4, 84, 84]);
  expect(parameters.map(({ name, shape }) => [name, shape])).toEqual([
    ['trunk.0.weight', [32, 4, 8, 8]],
    ['trunk.0.bias', [32]],
    ['trunk.1.weight', [64, 32, 4, 4]],
    ['trunk.1.bias', [64]],
    ['trunk.2.weight', [64, 64, 3, 3]],
    ['trunk.2.bias', [64]],
    ['trunk.3.weight', [512, 3136]],
    ['trunk.3.bias', [512]],
  ]);
  const program = keep(trace((g) => ({ y: apply(input(g, 'x', ['n', 4, 84, 84])) })));
  expect(program.outputs[0].shape).toEqual(['n', 512]);
});

test('images too small for the kernels are refused, naming the layer', () => {
  expect(() => natureCnn('trunk', [4, 32, 84])).toThrow('layer 2 of "trunk": a kernel of 3×3 is larger than its image');
  expect(natureCnn('trunk', [4, 36, 36]).parameters[6].shape).toEqual([512, 64]);
});
