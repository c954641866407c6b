import { expect, test } from 'vitest';
import { relu, trace } from '../engine/index.ts';
import { random } from '../random.ts';
import { mlp } from './mlp.ts';
import { createParameters } from './parameters.ts';

const ROWS = 5;

test.each([
  { sizes: [4, 16, 8, 2], activation: 'tanh' as const },
  { sizes: [4, 16, 1], activation: 'relu' as const },
  { sizes: [4, 16, 1], activation: relu },
  { sizes: [4, 2] },
])('mlp $sizes agrees with plain loops', (options) => {
  const network = mlp('net', options);
  const rng = random(4, 'mlp');
  const parameters = createParameters(network.parameters, rng);
  for (const { data } of Object.values(parameters.values)) for (let i = 0; i < data.length; i++) data[i] = rng.normal();
  const x = Float32Array.from({ length: ROWS * 4 }, () => rng.normal());
  const program = trace({ x: ['n', 4] }, ({ x }) => ({ y: network.apply(x) }));
  const { y } = program.run({ ...parameters.values, x });

  const rectified = options.activation === 'relu' || options.activation === relu;
  const activate = rectified ? (v: number) => Math.max(0, v) : Math.tanh;
  for (let row = 0; row < ROWS; row++) {
    let h = [...x.subarray(row * 4, row * 4 + 4)];
    options.sizes.slice(1).forEach((out, layer) => {
      const weight = parameters.values[`net.${layer}.weight`].data;
      const bias = parameters.values[`net.${layer}.bias`].data;
      const z = Array.from({ length: out }, (_, o) =>
        h.reduce((total, v, i) => total + v * weight[o * h.length + i], bias[o]),
      );
      h = layer === options.sizes.length - 2 ? z : z.map(activate);
    });
    h.forEach((v, o) => {
      expect(y[row * h.length + o]).toBeCloseTo(v, 4);
    });
  }
  program[Symbol.dispose]();
  parameters[Symbol.dispose]();
});
