/** A gated recurrent unit (Cho et al. 2014), in PyTorch's form. */
import { input, type Tensor } from '../engine/graph.ts';
import { add, mul, sigmoid, sub, tanh } from '../engine/ops/elementwise.ts';
import { linear } from '../engine/ops/matmul.ts';
import { concat, slice } from '../engine/ops/shape.ts';
import { orthogonal, zeros } from './initialize.ts';
import type { ParameterSpec } from './parameters.ts';

/** A recurrent layer: its parameters, and functions of traced tensors. */
export interface Gru {
  /** Its parameters. They are inputs of the graph, by these names. */
  parameters: ParameterSpec[];
  /** One step: x [n, in] and the state before it, [n, size] → the state after it, [n, size]. */
  step(x: Tensor, state: Tensor): Tensor;
  /**
   * `length` steps of n sequences: x [length · n, in], time outermost, and the states before the first, [n, size] → the
   * states after each step, [length · n, size]. Where `begins` [length · n, 1] is 1, the state is 0 before the step.
   */
  unroll(x: Tensor, state: Tensor, begins: Tensor, sizes: { length: number; n: number }): Tensor;
}

/**
 * r, z = σ(W x + U h), n = tanh(W x + r·(U h)), h' = (1 − z)·n + z·h, each product with a bias. The rows of W and U are
 * those of r, z and n, one after another.
 *
 * @param name - Its parameters are `${name}.input.weight` [3 · size, in], `${name}.state.weight` [3 · size, size], and
 * `${name}.input.bias` and `${name}.state.bias` [3 · size].
 */
export function gru(name: string, inputSize: number, size: number): Gru {
  const specs = (['input', 'state'] as const).map((part) => ({
    weight: { name: `${name}.${part}.weight`, shape: [3 * size, part === 'input' ? inputSize : size] },
    bias: { name: `${name}.${part}.bias`, shape: [3 * size] },
  }));
  const product = (x: Tensor, part: number): Tensor => {
    const { weight, bias } = specs[part];
    return linear(x, input(x.graph, weight.name, weight.shape), input(x.graph, bias.name, bias.shape));
  };
  const part = (x: Tensor, i: number) => slice(x, 1, i * size, (i + 1) * size);
  /** A step, from W x + b. */
  const next = (given: Tensor, state: Tensor): Tensor => {
    const held = product(state, 1);
    const reset = sigmoid(add(part(given, 0), part(held, 0)));
    const update = sigmoid(add(part(given, 1), part(held, 1)));
    const fresh = tanh(add(part(given, 2), mul(reset, part(held, 2))));
    return add(fresh, mul(update, sub(state, fresh)));
  };
  return {
    parameters: specs.flatMap(({ weight, bias }) => [
      { ...weight, initialize: orthogonal() },
      { ...bias, initialize: zeros },
    ]),
    step: (x, state) => next(product(x, 0), state),
    unroll(x, state, begins, { length, n }) {
      const given = product(x, 0);
      const stays = sub(1, begins);
      const rows = (all: Tensor, t: number) => slice(all, 0, t * n, (t + 1) * n);
      const states: Tensor[] = [];
      for (let t = 0; t < length; t++) {
        states.push(next(rows(given, t), mul(states.at(-1) ?? state, rows(stays, t))));
      }
      return concat(states, 0);
    },
  };
}
