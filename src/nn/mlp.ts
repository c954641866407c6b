/** Multi-layer perceptrons. */
import { input, type Tensor } from '../engine/graph.ts';
import { relu, tanh } from '../engine/ops/elementwise.ts';
import { linear } from '../engine/ops/matmul.ts';
import { type Initialize, orthogonal, zeros } from './initialize.ts';
import type { ParameterSpec } from './parameters.ts';

/** A network: its parameters, and a function of a traced tensor. */
export interface Network {
  /** Its parameters. They are inputs of the graph, by these names. */
  parameters: ParameterSpec[];
  /** Maps a traced tensor. Applied twice, or in two programs, it shares its parameters. */
  apply(x: Tensor): Tensor;
}

/** Architecture of a multi-layer perceptron. */
export interface MlpOptions {
  /** Widths from input to output, such as [4, 64, 64, 2]. */
  sizes: readonly number[];
  /** Between the layers: by name, or a function of a traced tensor, such as `gelu`. "tanh" by default. */
  activation?: 'tanh' | 'relu' | ((x: Tensor) => Tensor);
  /** Initial weights of the hidden layers; orthogonal with gain √2 by default. Biases start at 0. */
  hidden?: Initialize;
  /** Initial weights of the last layer; orthogonal by default. */
  last?: Initialize;
}

const unchanged = (hidden: Tensor): Tensor => hidden;
const activations = { tanh, relu };

interface Mlp extends Network {
  /** `between` maps the output of each hidden layer, counted from 0, as dropout does. */
  apply(x: Tensor, between?: (hidden: Tensor, layer: number) => Tensor): Tensor;
}

/**
 * Fully connected layers with an activation between them: [..., in] → [..., out].
 *
 * @param name - Its parameters are `${name}.0.weight` [out, in], `${name}.0.bias` [out] and so on.
 */
export function mlp(name: string, options: MlpOptions): Mlp {
  const { sizes, activation = 'tanh', hidden = orthogonal(Math.SQRT2), last = orthogonal() } = options;
  const activate = typeof activation === 'function' ? activation : activations[activation];
  const layers = sizes.slice(1).map((out, i) => ({
    weight: `${name}.${i}.weight`,
    bias: `${name}.${i}.bias`,
    shape: [out, sizes[i]],
    initialize: i === sizes.length - 2 ? last : hidden,
  }));
  return {
    parameters: layers.flatMap(({ weight, bias, shape, initialize }) => [
      { name: weight, shape, initialize },
      { name: bias, shape: [shape[0]], initialize: zeros },
    ]),
    apply: (x, between = unchanged) =>
      layers.reduce((h, { weight, bias, shape }, i) => {
        const y = linear(h, input(x.graph, weight, shape), input(x.graph, bias, [shape[0]]));
        return i === layers.length - 1 ? y : between(activate(y), i);
      }, x),
  };
}
