/**
 * LoRA (Hu et al. 2021): a linear map W stays unchanged, and scale · B·A of a far lower rank is learned beside it. B
 * begins at 0, so training begins at the loaded model.
 */

import { input, type Tensor } from '../engine/graph.ts';
import { add, mul } from '../engine/ops/elementwise.ts';
import { linear } from '../engine/ops/matmul.ts';
import { HeedError } from '../error.ts';
import type { Linear } from './decoder.ts';
import { type DecoderConfig, layerLinears, layerName } from './decoder-config.ts';
import { type Initialize, zeros } from './initialize.ts';
import type { Arena, ParameterSpec } from './parameters.ts';

/** Options of LoRA adapters. */
export interface LoraOptions {
  /** Rank of B·A. */
  rank: number;
  /** B·A is multiplied by alpha / rank. */
  alpha: number;
  /** Last parts of the names of the linear layers to adapt, such as "q_proj"; all by default. */
  targets?: readonly string[];
  /** Multiply B·A by alpha / √rank instead (Kalajdzievski 2023). */
  rankStabilized?: boolean;
}

/** The factor of B·A. */
export const loraScale = ({ rank, alpha, rankStabilized }: LoraOptions): number =>
  alpha / (rankStabilized ? Math.sqrt(rank) : rank);

/** The names of a linear layer's A and B, as PEFT names them. */
export const loraNames = (linear: string): { a: string; b: string } => ({
  a: `${linear}.lora_A.weight`,
  b: `${linear}.lora_B.weight`,
});

/**
 * The linear layers that get adapters, with the sizes of their weights.
 *
 * @throws HeedError where a target is no linear layer of the model, or the rank is not a whole number from 1.
 */
export function loraTargets(config: DecoderConfig, { rank, targets }: LoraOptions) {
  const linears = layerLinears(config);
  const last = (name: string) => name.split('.').at(-1)!;
  const unknown = targets?.find((target) => !linears.some(({ name }) => last(name) === target));
  if (unknown !== undefined || targets?.length === 0) {
    throw new HeedError(`LoRA cannot adapt ${unknown === undefined ? 'nothing' : `"${unknown}"`}`, {
      hint: `this model has ${linears.map(({ name }) => last(name)).join(', ')}`,
    });
  }
  if (!Number.isInteger(rank) || rank < 1) throw new HeedError(`a LoRA rank is a whole number from 1, got ${rank}`);
  return Array.from({ length: config.layers }, (_, layer) =>
    linears
      .filter(({ name }) => targets?.includes(last(name)) ?? true)
      .map(({ name, shape: [out, inner] }) => ({ name: `${layerName(layer)}.${name}`, out, inner })),
  ).flat();
}

/** A and B of every target, named as PEFT names them: A uniform in ±1/√in, B zeros. */
export function loraParameters(config: DecoderConfig, options: LoraOptions): ParameterSpec[] {
  return loraTargets(config, options).flatMap(({ name, out, inner }) => [
    { name: loraNames(name).a, shape: [options.rank, inner], initialize: uniformByInputs },
    { name: loraNames(name).b, shape: [out, options.rank], initialize: zeros },
  ]);
}

const uniformByInputs: Initialize = (data, [, inner], random) => {
  for (let i = 0; i < data.length; i++) data[i] = (2 * random.uniform() - 1) / Math.sqrt(inner);
};

/** The maps of `base`, with adapters added where there are any. */
export function loraLinear(config: DecoderConfig, options: LoraOptions, base: Linear): Linear {
  const adapted = new Map(loraTargets(config, options).map((target) => [target.name, target]));
  return (x: Tensor, name: string) => {
    const y = base(x, name);
    const target = adapted.get(name);
    if (!target) return y;
    const { a, b } = loraNames(name);
    const inside = linear(x, input(x.graph, a, [options.rank, target.inner]));
    return add(y, linear(mul(inside, loraScale(options)), input(x.graph, b, [target.out, options.rank])));
  };
}

/** Adds scale · B·A to the weights, in place: the model then needs no adapter. */
export function mergeLora(parameters: Arena, adapters: Arena, options: LoraOptions): void {
  const { rank } = options;
  const scale = loraScale(options);
  for (const { name, shape } of adapters.specs) {
    if (!name.endsWith('.lora_A.weight')) continue;
    const linear = name.slice(0, -'.lora_A.weight'.length);
    const a = adapters.values[name].data;
    const b = adapters.values[loraNames(linear).b].data;
    const weight = parameters.values[`${linear}.weight`].data;
    const inner = shape[1];
    for (let o = 0; o < b.length / rank; o++) {
      for (let r = 0; r < rank; r++) {
        const factor = scale * b[o * rank + r];
        for (let i = 0; i < inner; i++) weight[o * inner + i] += factor * a[r * inner + i];
      }
    }
  }
}
