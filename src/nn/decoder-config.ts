/** What a decoder is made of, whatever family it came from, and the parameters it has. */
import { normal, ones, zeros } from './initialize.ts';
import type { ParameterSpec } from './parameters.ts';

export interface DecoderConfig {
  vocabularySize: number;
  hiddenSize: number;
  layers: number;
  heads: number;
  /** Grouped-query attention: each key and value serves heads / keyValueHeads queries. */
  keyValueHeads: number;
  headSize: number;
  feedForwardSize: number;
  activation: 'silu' | 'gelu' | 'geluTanh';
  /** down(activation(gate·x) ∘ up·x); else down(activation(up·x)). */
  gated: boolean;
  norm: 'rms' | 'layer';
  normEpsilon: number;
  positions: RotaryPositions | { kind: 'learned' };
  /** The longest sequence the model was made for. */
  maxPositions: number;
  /** A query sees this many tokens, itself included; all before it where absent. */
  slidingWindow?: number;
  /** Which linear layers have a bias. */
  bias: { queryKeyValue: boolean; attentionOutput: boolean; feedForward: boolean };
  /** RMS norm of each head's query and key before the rotation (Qwen3). */
  queryKeyNorm: boolean;
  /** The output layer is the embedding. */
  tied: boolean;
  /** Deviation of initial weights. */
  initialDeviation: number;
}

/** Su et al. 2021; each head's halves are rotated against one another, as Llama does. */
export interface RotaryPositions {
  kind: 'rotary';
  theta: number;
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

/** Names of a decoder's parameters: Llama's in Hugging Face checkpoints, for every family. */
export const EMBEDDING = 'model.embed_tokens.weight';
export const POSITIONS = 'model.embed_positions.weight';
export const FINAL_NORM = 'model.norm';
export const HEAD = 'lm_head.weight';
export const layerName = (layer: number) => `model.layers.${layer}`;

/** The name of the output layer's weight [vocabulary, hidden]. */
export const headName = ({ tied }: DecoderConfig): string => (tied ? EMBEDDING : HEAD);

/**
 * A layer's linear maps: name under the layer, [out, in] and whether there is a bias. These are what LoRA may adapt and
 * what may be quantized.
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
  const known = new Map(layerLinears(config).map((linear) => [linear.name, linear]));
  return (name) => known.get(name.replace(/^model\.layers\.\d+\./, ''))!;
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
