/** Multi-layer perceptrons. */
import { input, linear, relu, type Tensor, tanh } from '../engine/index.ts';
import { type Initialize, orthogonal, zeros } from './initialize.ts';
import type { ParameterSpec } from './parameters.ts';

/** A network: what it learns, and how it maps a traced tensor. Its parameters are inputs of the graph, by name. */
export interface Network {
  parameters: ParameterSpec[];
  apply(x: Tensor): Tensor;
}

export interface MlpOptions {
  /** Widths from input to output, such as [4, 64, 64, 2]. */
  sizes: readonly number[];
  activation?: 'tanh' | 'relu';
  /** Initial weights of the hidden layers and of the last. */
  hidden?: Initialize;
  last?: Initialize;
}

const same = (hidden: Tensor): Tensor => hidden;
const activations = { tanh, relu };

interface Mlp extends Network {
  /** `between` is applied to what each hidden layer gives, as dropout is. */
  apply(x: Tensor, between?: (hidden: Tensor, layer: number) => Tensor): Tensor;
}

/** Fully connected layers with an activation between them: [..., in] → [..., out]. */
export function mlp(name: string, options: MlpOptions): Mlp {
  const { sizes, activation = 'tanh', hidden = orthogonal(Math.SQRT2), last = orthogonal() } = options;
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
    apply: (x, between = same) =>
      layers.reduce((h, { weight, bias, shape }, i) => {
        const y = linear(h, input(x.graph, weight, shape), input(x.graph, bias, [shape[0]]));
        return i === layers.length - 1 ? y : between(activations[activation](y), i);
      }, x),
  };
}
