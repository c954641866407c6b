/** Architecture of a decoder, in one form for all families, and its parameters. */
import type { Precision } from '../engine/precision.ts';
import { normal, ones, zeros } from './initialize.ts';
import type { ParameterSpec } from './parameters.ts';

/** The architecture of a decoder. */
export interface DecoderConfig {
  /** Number of tokens in the vocabulary. */
  vocabularySize: number;
  /** Width of the residual stream. */
  hiddenSize: number;
  /** Number of layers. */
  layers: number;
  /** Number of query heads in each layer. */
  heads: number;
  /** Grouped-query attention: each key and value serves heads / keyValueHeads queries. */
  keyValueHeads: number;
  /** Width of a head. */
  headSize: number;
  /** Width of the feed-forward layers. */
  feedForwardSize: number;
  /** Activation of the feed-forward layers. */
  activation: 'silu' | 'gelu' | 'geluTanh';
  /** Whether a feed-forward layer is down(activation(gate·x) ∘ up·x); else it is down(activation(up·x)). */
  gated: boolean;
  /** RMS norm (Zhang & Sennrich 2019) or layer norm (Ba et al. 2016). */
  norm: 'rms' | 'layer';
  /** ε under the norms' roots. */
  normEpsilon: number;
  /** How positions are encoded: by rotation of queries and keys, or by learned embeddings. */
  positions: RotaryPositions | { kind: 'learned' };
  /** The longest sequence that the model is made for. */
  maxPositions: number;
  /** Number of tokens that a query attends to, itself included; all before it by default. */
  slidingWindow?: number;
  /** Which linear layers have a bias. */
  bias: {
    /** The query, key and value maps. */
    queryKeyValue: boolean;
    /** The map after the attention. */
    attentionOutput: boolean;
    /** The maps of the feed-forward layers. */
    feedForward: boolean;
  };
  /** RMS norm of each head's query and key before the rotation (Qwen3). */
  queryKeyNorm: boolean;
  /** Whether the output layer is the embedding. */
  tied: boolean;
  /** Standard deviation of initial weights. */
  initialDeviation: number;
  /** What its matrix products compute with; float32 by default. No part of a checkpoint (see `withPrecision`). */
  precision?: Precision;
}

/** Rotary positions (Su et al. 2021). Each head's halves are rotated against one another, as in Llama. */
export interface RotaryPositions {
  /** The kind of positions. */
  kind: 'rotary';
  /** The base of the frequencies: theta^(−2i / headSize). */
  theta: number;
  /** How frequencies stretch to longer contexts: all alike (Chen et al. 2023), or the slow ones only (Llama 3.1). */
  scaling?:
    | { kind: 'linear'; factor: number }
    | {
        kind: 'llama3';
        factor: number;
        lowFrequencyFactor: number;
        highFrequencyFactor: number;
        originalMaxPositions: number;
      };
}

// Names of a decoder's parameters, for every family: Llama's in Hugging Face checkpoints.
/** The token embedding [vocabulary, hidden]. */
export const EMBEDDING = 'model.embed_tokens.weight';
/** The learned positions [maxPositions, hidden]. */
export const POSITIONS = 'model.embed_positions.weight';
/** The norm after the last layer: the prefix of its weight and bias. */
export const FINAL_NORM = 'model.norm';
/** The output layer's weight [vocabulary, hidden], if it is not the embedding. */
export const HEAD = 'lm_head.weight';
/** The prefix of a layer's parameters. */
export const layerName = (layer: number) => `model.layers.${layer}`;

/** The name of the output layer's weight [vocabulary, hidden]. */
export const headName = ({ tied }: DecoderConfig): string => (tied ? EMBEDDING : HEAD);

/**
 * A layer's linear maps: name within the layer, [out, in] and whether there is a bias. LoRA can adapt these, and they
 * can be quantized.
 */
export function layerLinears(config: DecoderConfig): { name: string; shape: [number, number]; bias: boolean }[] {
  const { hiddenSize: d, feedForwardSize: f, headSize, heads, keyValueHeads, bias, gated } = config;
  const wide = heads * headSize;
  const narrow = keyValueHeads * headSize;
  return [
    { name: 'self_attn.q_proj', shape: [wide, d], bias: bias.queryKeyValue },
    { name: 'self_attn.k_proj', shape: [narrow, d], bias: bias.queryKeyValue },
    { name: 'self_attn.v_proj', shape: [narrow, d], bias: bias.queryKeyValue },
    { name: 'self_attn.o_proj', shape: [d, wide], bias: bias.attentionOutput },
    ...(gated ? [{ name: 'mlp.gate_proj', shape: [f, d] as [number, number], bias: bias.feedForward }] : []),
    { name: 'mlp.up_proj', shape: [f, d], bias: bias.feedForward },
    { name: 'mlp.down_proj', shape: [d, f], bias: bias.feedForward },
  ];
}

/** The size of a linear layer's weight [out, in], and whether it has a bias, by its full name. */
export function linearLookup(config: DecoderConfig): (name: string) => { shape: [number, number]; bias: boolean } {
  const linears = new Map(layerLinears(config).map((linear) => [linear.name, linear]));
  return (name) => linears.get(name.replace(/^model\.layers\.\d+\./, ''))!;
}

/**
 * Every parameter, in the order of a forward pass. Initial weights are N(0, deviation²), those that write into the
 * residual stream divided by √(2·layers) (Radford et al. 2019).
 */
export function decoderParameters(config: DecoderConfig): ParameterSpec[] {
  const { hiddenSize: d, vocabularySize, layers, headSize, initialDeviation } = config;
  const weight = normal(initialDeviation);
  const residual = normal(initialDeviation / Math.sqrt(2 * layers));
  const norm = (name: string, size = d): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [size], initialize: ones },
    ...(config.norm === 'layer' ? [{ name: `${name}.bias`, shape: [size], initialize: zeros }] : []),
  ];
  const specs: ParameterSpec[] = [{ name: EMBEDDING, shape: [vocabularySize, d], initialize: weight }];
  if (config.positions.kind === 'learned') {
    specs.push({ name: POSITIONS, shape: [config.maxPositions, d], initialize: weight });
  }
  for (let layer = 0; layer < layers; layer++) {
    const at = layerName(layer);
    const linears = layerLinears(config).map(({ name, shape, bias }): ParameterSpec[] => [
      { name: `${at}.${name}.weight`, shape, initialize: /(o|down)_proj$/.test(name) ? residual : weight },
      ...(bias ? [{ name: `${at}.${name}.bias`, shape: [shape[0]], initialize: zeros }] : []),
    ]);
    const attention = linears.slice(0, 4).flat();
    const norms = config.queryKeyNorm
      ? ['q_norm', 'k_norm'].map((name) => ({
          name: `${at}.self_attn.${name}.weight`,
          shape: [headSize],
          initialize: ones,
        }))
      : [];
    specs.push(
      ...norm(`${at}.input_layernorm`),
      ...attention,
      ...norms,
      ...norm(`${at}.post_attention_layernorm`),
      ...linears.slice(4).flat(),
    );
  }
  specs.push(...norm(FINAL_NORM));
  if (!config.tied) specs.push({ name: HEAD, shape: [vocabularySize, d], initialize: weight });
  return specs;
}
