/**
 * Decoder-only transformers of every family (Llama, Mistral, Qwen, GPT-2, …) as one traced function. The
 * attention is passed in: over whole rows for training (packedAttention), or through a cache for generation.
 */

import { checkpoint } from '../engine/gradient.ts';
import { constant, type Graph, input, type Tensor } from '../engine/graph.ts';
import { attention, rotary, tokensOf } from '../engine/ops/attention.ts';
import {
  add,
  equal,
  gelu,
  geluTanh,
  greaterOrEqual,
  less,
  logicalAnd,
  logicalOr,
  mul,
  silu,
  sub,
  where,
} from '../engine/ops/elementwise.ts';
import { gather, takeRows } from '../engine/ops/gather.ts';
import { linear } from '../engine/ops/matmul.ts';
import { layerNorm, rmsNorm } from '../engine/ops/normalize.ts';
import { range, reshape, unsqueeze } from '../engine/ops/shape.ts';
import {
  type DecoderConfig,
  EMBEDDING,
  FINAL_NORM,
  layerName,
  linearLookup,
  POSITIONS,
  type RotaryPositions,
} from './decoder-config.ts';

/** The map of a named linear layer, such as `model.layers.0.mlp.up_proj`: [rows, time, in] → [rows, time, out]. */
export type Linear = (x: Tensor, name: string) => Tensor;

/** q [rows, time, heads · size], k and v [rows, time, keyValueHeads · size] of a layer → [rows, time, heads · size]. */
export type Attend = (q: Tensor, k: Tensor, v: Tensor, layer: number) => Tensor;

/** The inputs of a traced decoder. */
export interface DecoderInputs {
  /** [rows, time], int32 or int64 */
  ids: Tensor;
  /** [rows, time]: each token's place in its own sequence, from 0. */
  positions: Tensor;
  /** How queries attend to keys and values. */
  attend: Attend;
  /** The linear maps; by default plain products with their weights. */
  linear?: Linear;
  /** Distinct places, among all [tokens], of the tokens whose states are read. The last layer ends with these. */
  read?: Tensor;
  /** Keep only each layer's input, and compute the layer again for its gradient (Chen et al. 2016). */
  checkpointLayers?: boolean;
}

const activations = { silu, gelu, geluTanh };

/**
 * ids → hidden states after the last norm, [rows, time, hidden], or [1, tokens, hidden] of the tokens that are read.
 * Its parameters are inputs of the graph, by their names.
 */
export function decoder(config: DecoderConfig, inputs: DecoderInputs): Tensor {
  const { ids, positions, attend, linear: map = weightedLinear(config), read } = inputs;
  const { graph } = ids;
  const { hiddenSize, vocabularySize, headSize } = config;
  const activation = activations[config.activation];
  const norm = (x: Tensor, name: string) => {
    const weight = input(graph, `${name}.weight`, [hiddenSize]);
    if (config.norm === 'rms') return rmsNorm(x, weight, config.normEpsilon);
    return layerNorm(x, weight, input(graph, `${name}.bias`, [hiddenSize]), config.normEpsilon);
  };
  const headNorm = (x: Tensor, name: string) => {
    if (!config.queryKeyNorm) return x;
    const heads = reshape(x, [...x.shape.slice(0, 2), Number(x.shape[2]) / headSize, headSize]);
    return reshape(rmsNorm(heads, input(graph, `${name}.weight`, [headSize]), config.normEpsilon), x.shape);
  };

  let x = gather(input(graph, EMBEDDING, [vocabularySize, hiddenSize]), ids);
  if (config.positions.kind === 'learned') {
    x = add(x, gather(input(graph, POSITIONS, [config.maxPositions, hiddenSize]), positions));
  }
  const decoderLayer = (x: Tensor, layer: number) => {
    const at = layerName(layer);
    const before = norm(x, `${at}.input_layernorm`);
    const project = (name: string) => map(before, `${at}.self_attn.${name}_proj`);
    const q = headNorm(project('q'), `${at}.self_attn.q_norm`);
    const k = headNorm(project('k'), `${at}.self_attn.k_norm`);
    const pick = (x: Tensor) => (read && layer === config.layers - 1 ? unsqueeze(takeRows(tokensOf(x), read), 0) : x);
    const attended = add(pick(x), map(pick(attend(q, k, project('v'), layer)), `${at}.self_attn.o_proj`));
    const between = norm(attended, `${at}.post_attention_layernorm`);
    const up = map(between, `${at}.mlp.up_proj`);
    const gate = config.gated && map(between, `${at}.mlp.gate_proj`);
    // the steps between the widest tensors are recomputed for the gradient: a fifth of the memory for two passes
    const down = checkpoint(graph, () => {
      return map(gate ? mul(activation(gate), up) : activation(up), `${at}.mlp.down_proj`);
    });
    return add(attended, down);
  };
  for (let layer = 0; layer < config.layers; layer++) {
    const entering = x;
    const build = () => decoderLayer(entering, layer);
    x = inputs.checkpointLayers ? checkpoint(graph, build) : build();
  }
  return norm(x, FINAL_NORM);
}

/** The decoder's own weights. */
export function weightedLinear(config: DecoderConfig): Linear {
  const lookUp = linearLookup(config);
  return (x, name) => {
    const { shape, bias } = lookUp(name);
    const weight = input(x.graph, `${name}.weight`, shape);
    return linear(x, weight, bias ? input(x.graph, `${name}.bias`, [shape[0]]) : undefined);
  };
}

/** How sequences lie in the rows of a packed batch. */
export interface Packing {
  /** [rows, time]: which segment of its row a token belongs to. Tokens see earlier tokens of the same segment. */
  segments: Tensor;
  /** [rows, time]: the segment before a token's own, which it sees as well, or its own. */
  prefixes?: Tensor;
  /** [rows, time]: each token's place in its own sequence, from 0. */
  positions: Tensor;
  /** All positions are below this. */
  length: number;
}

/**
 * Causal attention within each of the sequences that are packed into a row, one after another (Krell et al. 2021): no
 * time is spent on padding.
 */
export function packedAttention(config: DecoderConfig, packing: Packing): Attend {
  const { segments, prefixes, positions, length } = packing;
  const { graph } = segments;
  const time = range(graph, segments.shape[1]);
  const [query, key] = [unsqueeze(time, 1), unsqueeze(time, 0)];
  const of = (x: Tensor) => equal(unsqueeze(x, 2), unsqueeze(segments, 1));
  let seen = logicalAnd(greaterOrEqual(query, key), prefixes ? logicalOr(of(segments), of(prefixes)) : of(segments));
  if (config.slidingWindow !== undefined) {
    // after a shared prefix, places in the row are not places in the sequence
    const distance = prefixes ? sub(unsqueeze(positions, 2), unsqueeze(positions, 1)) : sub(query, key);
    seen = logicalAnd(seen, less(distance, config.slidingWindow));
  }
  const mask = unsqueeze(where(seen, constant(graph, [0], []), -1e30), 1);
  const { heads, keyValueHeads } = config;
  const turn = rotation(graph, config, positions, length);
  return (q, k, v) => attention(turn(q), turn(k), v, mask, { heads, keyValueHeads, causal: true });
}

/** The rotation of queries and keys; none if positions are learned. */
function rotation(graph: Graph, config: DecoderConfig, positions: Tensor, length: number): (x: Tensor) => Tensor {
  if (config.positions.kind === 'learned') return (x) => x;
  const { cos, sin } = rotaryTables(config.positions, config.headSize, length);
  const [cosTable, sinTable] = [cos, sin].map((values) => constant(graph, values, [length, config.headSize / 2]));
  return (x) => rotary(x, positions, cosTable, sinTable);
}

/** cos and sin of position · frequency, [length, size / 2], row-major. */
export function rotaryTables(positions: RotaryPositions, size: number, length: number) {
  const half = size / 2;
  const frequencies = Array.from({ length: half }, (_, i) => scaled(positions, positions.theta ** ((-2 * i) / size)));
  const angle = (i: number) => Math.floor(i / half) * Math.fround(frequencies[i % half]);
  return {
    cos: Float32Array.from({ length: length * half }, (_, i) => Math.cos(angle(i))),
    sin: Float32Array.from({ length: length * half }, (_, i) => Math.sin(angle(i))),
  };
}

/** Frequencies stretched to longer contexts: all alike (Chen et al. 2023), or the slow ones only (Llama 3.1). */
function scaled({ scaling }: RotaryPositions, frequency: number): number {
  if (!scaling) return frequency;
  if (scaling.kind === 'linear') return frequency / scaling.factor;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
  const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
  return (1 - smooth) * (frequency / factor) + smooth * frequency;
}
