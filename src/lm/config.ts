/**
 * Reads `config.json` of Hugging Face models: Llama, Mistral, Qwen2, Qwen3 and GPT-2, in the spelling of Transformers 4
 * (`rope_theta`, `rope_scaling`, `torch_dtype`) and of Transformers 5 (`rope_parameters`, `dtype`). Defaults are those
 * of the families' configuration classes.
 */
import { z } from 'zod';
import { HeedError } from '../error.ts';
import type { DecoderConfig, RotaryPositions } from '../nn/decoder-config.ts';

export type Family = 'llama' | 'mistral' | 'qwen2' | 'qwen3' | 'gpt2';

interface Architecture {
  /** A name from config.json's `architectures`, such as "LlamaForCausalLM". */
  name: string;
  family: Family;
  /** Whether it is a classifier: a score per label instead of logits over the vocabulary. */
  classifier: boolean;
}

const prefixes: Record<Family, string> = {
  llama: 'Llama',
  mistral: 'Mistral',
  qwen2: 'Qwen2',
  qwen3: 'Qwen3',
  gpt2: 'GPT2',
};
const architectures: readonly Architecture[] = (Object.keys(prefixes) as Family[]).flatMap((family) =>
  [false, true].map((classifier) => ({ name: architectureName(family, classifier), family, classifier })),
);

export function architectureName(family: Family, classifier: boolean): string {
  if (classifier) return `${prefixes[family]}ForSequenceClassification`;
  return prefixes[family] + (family === 'gpt2' ? 'LMHeadModel' : 'ForCausalLM');
}

/** Names of activations, in config.json and here. */
const activations: Record<string, DecoderConfig['activation']> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  gelu_fast: 'geluTanh',
};

const count = z.int().positive();
const layers = z.int().positive().max(10_000); // a wrong number is then an error and not an endless list
const deviation = z.number().nonnegative().default(0.02);
const epsilon = z.number().positive();
const flag = z.boolean().default(false);

const ropeSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().nullish(),
  partial_rotary_factor: z.number().nullish(),
});
const linearSchema = z.looseObject({ factor: z.number().positive() });
const llama3Schema = z.looseObject({
  factor: z.number().positive(),
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
  original_max_position_embeddings: count.nullish(),
});

const anySchema = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  model_type: z.string().nullish(),
  quantization_config: z.unknown().optional(),
});

const llamaSchema = z.looseObject({
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: layers,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  hidden_act: z.string().default('silu'),
  max_position_embeddings: count,
  initializer_range: deviation,
  rms_norm_eps: epsilon.default(1e-6),
  tie_word_embeddings: flag,
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  partial_rotary_factor: z.number().nullish(),
  attention_bias: flag,
  mlp_bias: flag,
  sliding_window: count.nullable().default(4096),
  use_sliding_window: flag,
  max_window_layers: z.int().default(28),
  layer_types: z.array(z.string()).nullish(),
});
type LlamaFields = z.infer<typeof llamaSchema>;

const gpt2Schema = z.looseObject({
  vocab_size: count,
  n_positions: count,
  n_embd: count,
  n_layer: layers,
  n_head: count,
  n_inner: count.nullish(),
  activation_function: z.string().default('gelu_new'),
  layer_norm_epsilon: epsilon.default(1e-5),
  initializer_range: deviation,
  tie_word_embeddings: z.boolean().default(true),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: flag,
  add_cross_attention: flag,
});

/**
 * The kind of model that a parsed config.json describes. `source` names the file in errors.
 *
 * @throws HeedError if the architecture is not supported, or the weights are quantized.
 */
export function readArchitecture(raw: unknown, source: string): Architecture {
  const { architectures: names, model_type: type, quantization_config: quantized } = parse(anySchema, raw, source);
  const found = names?.length
    ? architectures.find(({ name }) => name === names[0])
    : architectures.find(({ family, classifier }) => family === type && !classifier);
  if (!found) {
    const got = names?.length ? `the architecture "${names[0]}"` : `the model type ${JSON.stringify(type)}`;
    throw new HeedError(`${source} names ${got}; supported are ${architectures.map(({ name }) => name).join(', ')}.`, {
      hint: 'Choose a model of one of these.',
    });
  }
  if (quantized) {
    throw new HeedError(`${source} has a "quantization_config": its weights are not F32, F16 or BF16.`, {
      hint: 'Use the model from before its quantization.',
    });
  }
  return found;
}

/**
 * The decoder that a parsed config.json describes. A classifier has no output layer over the vocabulary and so counts
 * as tied.
 *
 * @throws HeedError naming `source` and the field if something is missing, wrong or not supported.
 */
export function readConfig(raw: unknown, source: string): DecoderConfig {
  const { family, classifier } = readArchitecture(raw, source);
  const config = family === 'gpt2' ? readGpt2(raw, source) : readLlama(raw, family, source);
  return classifier ? { ...config, tied: true } : config;
}

function readLlama(raw: unknown, family: Exclude<Family, 'gpt2'>, source: string): DecoderConfig {
  const fields = parse(llamaSchema, raw, source);
  const { hidden_size: hiddenSize, num_attention_heads: heads, num_hidden_layers } = fields;
  const keyValueHeads = fields.num_key_value_heads ?? heads;
  const headSize = fields.head_dim ?? (family === 'qwen3' ? 128 : hiddenSize / heads);
  if (!Number.isInteger(headSize)) {
    throw wrong(source, `hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}`);
  }
  if (headSize % 2) throw wrong(source, `heads of ${headSize} have no two halves to rotate; head_dim has to be even`);
  if (heads % keyValueHeads) {
    throw wrong(source, `num_attention_heads ${heads} is not a multiple of num_key_value_heads ${keyValueHeads}`);
  }
  if (family === 'qwen2' || family === 'qwen3') refuseMixedAttention(fields, source);
  const biased = family === 'llama' || family === 'qwen3' ? fields.attention_bias : false;
  return {
    vocabularySize: fields.vocab_size,
    hiddenSize,
    layers: num_hidden_layers,
    heads,
    keyValueHeads,
    headSize,
    feedForwardSize: fields.intermediate_size,
    activation: readActivation(fields.hidden_act, 'hidden_act', source),
    gated: true,
    norm: 'rms',
    normEpsilon: fields.rms_norm_eps,
    positions: readRotary(fields, source),
    maxPositions: fields.max_position_embeddings,
    ...(family === 'mistral' && fields.sliding_window !== null ? { slidingWindow: fields.sliding_window } : {}),
    bias: {
      queryKeyValue: family === 'qwen2' || biased,
      attentionOutput: biased,
      feedForward: family === 'llama' && fields.mlp_bias,
    },
    queryKeyNorm: family === 'qwen3',
    tied: fields.tie_word_embeddings,
    initialDeviation: fields.initializer_range,
  };
}

function readGpt2(raw: unknown, source: string): DecoderConfig {
  const fields = parse(gpt2Schema, raw, source);
  const { n_embd: hiddenSize, n_head: heads } = fields;
  if (hiddenSize % heads) throw wrong(source, `n_embd ${hiddenSize} is not a multiple of n_head ${heads}`);
  if (!fields.scale_attn_weights) throw wrong(source, '"scale_attn_weights": false is not supported');
  for (const name of ['scale_attn_by_inverse_layer_idx', 'add_cross_attention'] as const) {
    if (fields[name]) throw wrong(source, `"${name}": true is not supported`);
  }
  return {
    vocabularySize: fields.vocab_size,
    hiddenSize,
    layers: fields.n_layer,
    heads,
    keyValueHeads: heads,
    headSize: hiddenSize / heads,
    feedForwardSize: fields.n_inner ?? 4 * hiddenSize,
    activation: readActivation(fields.activation_function, 'activation_function', source),
    gated: false,
    norm: 'layer',
    normEpsilon: fields.layer_norm_epsilon,
    positions: { kind: 'learned' },
    maxPositions: fields.n_positions,
    bias: { queryKeyValue: true, attentionOutput: true, feedForward: true },
    queryKeyNorm: false,
    tied: fields.tie_word_embeddings,
    initialDeviation: fields.initializer_range,
  };
}

/**
 * Qwen's layers from `max_window_layers` on have a sliding window if it is enabled, unless `layer_types` lists the
 * layers.
 */
function refuseMixedAttention(fields: LlamaFields, source: string): void {
  const switchedOn = fields.use_sliding_window && fields.sliding_window !== null;
  const windowed = fields.layer_types
    ? fields.layer_types.some((type) => type !== 'full_attention')
    : switchedOn && fields.max_window_layers < fields.num_hidden_layers;
  if (windowed) {
    throw wrong(source, 'some layers have sliding-window attention; of this family, only full attention is supported');
  }
}

function readActivation(name: string, field: string, source: string): DecoderConfig['activation'] {
  if (Object.hasOwn(activations, name)) return activations[name];
  throw wrong(source, `${field} is "${name}"; supported are ${Object.keys(activations).join(', ')}`);
}

function readRotary(fields: LlamaFields, source: string): RotaryPositions {
  const rope = fields.rope_scaling ?? fields.rope_parameters ?? {}; // Transformers 5 prefers the old name too
  const theta = rope.rope_theta ?? fields.rope_theta ?? 10_000;
  const type = rope.rope_type ?? rope.type ?? 'default';
  if ((rope.partial_rotary_factor ?? fields.partial_rotary_factor ?? 1) !== 1) {
    throw wrong(source, 'it rotates only a part of each head (partial_rotary_factor), which is not supported');
  }
  if (type === 'default') return { kind: 'rotary', theta };
  if (type === 'linear') {
    const { factor } = parse(linearSchema, rope, `${source}, rope scaling`);
    return { kind: 'rotary', theta, scaling: { kind: 'linear', factor } };
  }
  if (type === 'llama3') {
    const scaling = parse(llama3Schema, rope, `${source}, rope scaling`);
    return {
      kind: 'rotary',
      theta,
      scaling: {
        kind: 'llama3',
        factor: scaling.factor,
        lowFrequencyFactor: scaling.low_freq_factor,
        highFrequencyFactor: scaling.high_freq_factor,
        originalMaxPositions: scaling.original_max_position_embeddings ?? fields.max_position_embeddings,
      },
    };
  }
  throw wrong(source, `its rope type is "${type}"; supported are default, linear, llama3`);
}

function parse<T>(schema: z.ZodType<T>, value: unknown, source: string): T {
  const { success, data, error } = schema.safeParse(value);
  if (!success) throw new HeedError(`${source} is wrong:\n${z.prettifyError(error)}`, { hint: HINT });
  return data;
}

const wrong = (source: string, what: string) => new HeedError(`${source}: ${what}.`, { hint: HINT });
const HINT = 'Is it the config.json of a model of this family, as it was published?';
