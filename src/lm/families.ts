/**
 * The families of Hugging Face models that heed reads, as a table: what differs from Llama in their config.json, in
 * their decoder, and in how their checkpoints store it. A new family is a new entry, and a fixture in
 * test/fixtures/families.
 */
import { z } from 'zod';
import type { DecoderConfig } from '../nn/decoder-config.ts';
import { countField, flagField, readRotary, readWindows, type SharedFields, unsupported } from './config-fields.ts';
import { type FamilyEntry, headSizeOf } from './family-entry.ts';
import type { Layout } from './layout.ts';

/** An entry whose `decoder` gets its further fields with their types. */
const family = <More extends z.ZodRawShape>(
  entry: Omit<FamilyEntry, 'more' | 'decoder'> & {
    more?: More;
    decoder?: (fields: SharedFields & z.infer<z.ZodObject<More>>, source: string) => Partial<DecoderConfig>;
  },
) => entry as FamilyEntry;

const optional = z.number().positive().nullish();

/** `{ [name]: value }` unless it is absent or changes nothing. */
const unless = <K extends string>(name: K, value: number | null | undefined, neutral?: number) =>
  (value == null || value === neutral ? {} : { [name]: value }) as Partial<Record<K, number>>;

/** Qwen's layers from `max_window_layers` on have a window if it is enabled, unless `layer_types` lists the layers. */
function qwenWindows(fields: SharedFields, source: string): Partial<DecoderConfig> {
  const on = fields.use_sliding_window;
  const kinds = Array.from({ length: fields.num_hidden_layers }, (_, layer) =>
    on && layer >= fields.max_window_layers ? 'sliding_attention' : 'full_attention',
  );
  return readWindows(fields, fields.layer_types ?? kinds, source);
}

/** Kinds of layers that alternate: every `period`-th has full attention. */
const everyFull = (period: number, { num_hidden_layers: layers }: SharedFields) =>
  Array.from({ length: layers }, (_, i) => ((i + 1) % period ? 'sliding_attention' : 'full_attention'));

/** Rotary positions that full and windowed layers have each their own of. */
function positionsByKind(fields: SharedFields, localTheta: number, source: string): Partial<DecoderConfig> {
  const headSize = headSizeOf(fields);
  const nested = (fields.rope_parameters ?? {}) as Record<string, SharedFields['rope_parameters']>;
  const full = { ...nested.full_attention, ...fields.rope_scaling };
  const { positions, maxPositions } = readRotary(fields, headSize, source, full);
  const local = { rope_theta: localTheta, ...nested.sliding_attention };
  const windowed = readRotary(fields, headSize, source, local).positions;
  const alike = JSON.stringify(windowed) === JSON.stringify(positions);
  return { positions, maxPositions, ...(alike ? {} : { windowedPositions: windowed }) };
}

const gemmaDefaults = {
  hidden_activation: 'gelu_pytorch_tanh',
  head_dim: 256,
  tie_word_embeddings: true,
};
/** What all Gemmas share: norms as offsets from 1, and embeddings scaled by √hidden. */
const gemma = (fields: SharedFields): Partial<DecoderConfig> => ({
  normOffset: 1,
  embeddingScale: Math.fround(Math.sqrt(fields.hidden_size)),
  ...attentionBias(fields),
});
const gemmaCaps = {
  query_pre_attn_scalar: z.number().positive().default(256),
  attn_logit_softcapping: optional,
  final_logit_softcapping: optional,
  use_bidirectional_attention: z.boolean().nullish(),
};
type GemmaCaps = SharedFields & z.infer<z.ZodObject<typeof gemmaCaps>>;
function gemmaWithCaps(fields: GemmaCaps, period: number, source: string): Partial<DecoderConfig> {
  if (fields.use_bidirectional_attention) throw unsupported(source, 'its attention is bidirectional');
  return {
    ...gemma(fields),
    normPlaces: 'both',
    ...unless('attentionScale', fields.query_pre_attn_scalar ** -0.5, headSizeOf(fields) ** -0.5),
    ...unless('logitSoftCap', fields.final_logit_softcapping),
    ...readWindows(fields, fields.layer_types ?? everyFull(period, fields), source),
  };
}

const attentionBias = ({ attention_bias: on }: SharedFields): Partial<DecoderConfig> => ({
  bias: { queryKeyValue: on, attentionOutput: on, feedForward: false },
});

const olmo: Partial<DecoderConfig> = { normPlaces: 'after', queryKeyNorm: 'whole' };

const graniteFields = {
  embedding_multiplier: z.number().default(1),
  residual_multiplier: z.number().default(1),
  attention_multiplier: z.number().default(1),
  logits_scaling: z.number().positive().default(1),
};
const granite = (fields: SharedFields & z.infer<z.ZodObject<typeof graniteFields>>): Partial<DecoderConfig> => ({
  attentionScale: fields.attention_multiplier,
  ...unless('embeddingScale', fields.embedding_multiplier, 1),
  ...unless('residualScale', fields.residual_multiplier, 1),
  ...unless('logitScale', 1 / fields.logits_scaling, 1),
});

const queryKeyValue = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'];
const gateUp = ['mlp.gate_proj', 'mlp.up_proj'];

const expertFields = {
  num_experts_per_tok: countField,
  norm_topk_prob: flagField,
};
function experts(
  fields: SharedFields & z.infer<z.ZodObject<typeof expertFields>>,
  number: number,
  size: number,
  source: string,
): Partial<DecoderConfig> {
  if (fields.num_experts_per_tok > number) {
    throw unsupported(source, `num_experts_per_tok is ${fields.num_experts_per_tok} of ${number} experts`);
  }
  return {
    experts: { count: number, perToken: fields.num_experts_per_tok, size, normalized: fields.norm_topk_prob },
  };
}

/** The families by the `model_type` of their config.json. GPT-2 has fields of its own, which config.ts reads. */
export const families = {
  llama: family({
    prefix: 'Llama',
    decoder: ({ attention_bias: on, mlp_bias: feedForward }) => ({
      bias: { queryKeyValue: on, attentionOutput: on, feedForward },
    }),
  }),
  mistral: family({
    prefix: 'Mistral',
    decoder: ({ sliding_window: window }) => (window === null ? {} : { slidingWindow: window }),
  }),
  qwen2: family({
    prefix: 'Qwen2',
    decoder: (fields, source) => ({
      bias: { queryKeyValue: true, attentionOutput: false, feedForward: false },
      ...qwenWindows(fields, source),
    }),
  }),
  qwen3: family({
    prefix: 'Qwen3',
    defaults: { head_dim: 128 },
    decoder: (fields, source) => ({ queryKeyNorm: true, ...attentionBias(fields), ...qwenWindows(fields, source) }),
  }),
  qwen3_moe: family({
    prefix: 'Qwen3Moe',
    more: {
      ...expertFields,
      num_experts: countField.nullish(),
      num_local_experts: countField.nullish(),
      moe_intermediate_size: countField.default(768),
      decoder_sparse_step: countField.default(1),
      mlp_only_layers: z.array(z.int()).nullish(),
    },
    decoder: (fields, source) => {
      const { experts: mixture } = experts(
        fields,
        fields.num_experts ?? fields.num_local_experts ?? 128,
        fields.moe_intermediate_size,
        source,
      );
      const plainLayers = Array.from({ length: fields.num_hidden_layers }, (_, i) => i).filter(
        (i) => fields.mlp_only_layers?.includes(i) || (i + 1) % fields.decoder_sparse_step !== 0,
      );
      return {
        queryKeyNorm: true,
        ...attentionBias(fields),
        ...(fields.use_sliding_window && fields.sliding_window !== null && { slidingWindow: fields.sliding_window }),
        experts: { ...mixture!, ...(plainLayers.length > 0 && { plainLayers }) },
      };
    },
  }),
  mixtral: family({
    prefix: 'Mixtral',
    defaults: {
      rms_norm_eps: 1e-5,
      sliding_window: null,
      num_experts_per_tok: 2,
      norm_topk_prob: true,
      rope_theta: 1e6,
    },
    more: { ...expertFields, num_local_experts: countField.default(8) },
    decoder: (fields, source) => ({
      ...(fields.sliding_window !== null && { slidingWindow: fields.sliding_window }),
      ...experts(fields, fields.num_local_experts, fields.intermediate_size, source),
    }),
    layout: {
      maps: [{ name: 'block_sparse_moe.gate', parts: ['mlp.gate'] }],
      experts: { at: 'block_sparse_moe.experts', gate: 'w1', up: 'w3', down: 'w2' },
    },
  }),
  olmoe: family({
    prefix: 'Olmoe',
    defaults: { rms_norm_eps: 1e-5, num_experts_per_tok: 8 },
    more: { ...expertFields, num_experts: countField.default(64), clip_qkv: z.number().nullish() },
    decoder: (fields, source) => {
      if (fields.clip_qkv != null) throw unsupported(source, '"clip_qkv" bounds queries, keys and values');
      return {
        queryKeyNorm: 'whole',
        ...attentionBias(fields),
        ...experts(fields, fields.num_experts, fields.intermediate_size, source),
      };
    },
  }),
  gemma: family({
    prefix: 'Gemma',
    defaults: { ...gemmaDefaults, hidden_act: 'gelu_pytorch_tanh' },
    decoder: (fields) => ({
      ...gemma(fields),
      ...(fields.hidden_act === 'gelu' && { activation: 'geluTanh' as const }), // the first releases meant this
    }),
  }),
  gemma2: family({
    prefix: 'Gemma2',
    names: { hidden_act: 'hidden_activation' },
    defaults: { ...gemmaDefaults, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
    more: gemmaCaps,
    decoder: (fields, source) => ({
      ...gemmaWithCaps(fields, 2, source),
      ...unless('attentionSoftCap', fields.attn_logit_softcapping),
    }),
  }),
  gemma3_text: family({
    prefix: 'Gemma3',
    classifierPrefix: 'Gemma3Text',
    names: { hidden_act: 'hidden_activation' },
    defaults: { ...gemmaDefaults, rope_theta: 1e6 },
    more: {
      ...gemmaCaps,
      sliding_window_pattern: countField.default(6),
      rope_local_base_freq: z.number().positive().default(10_000),
    },
    decoder: (fields, source) => ({
      queryKeyNorm: true,
      ...gemmaWithCaps(fields, fields.sliding_window_pattern, source),
      ...positionsByKind(fields, fields.rope_local_base_freq, source),
    }),
  }),
  phi3: family({
    prefix: 'Phi3',
    defaults: { rms_norm_eps: 1e-5, sliding_window: null },
    decoder: (fields, source) => {
      const rope = fields.rope_scaling ?? fields.rope_parameters ?? {};
      const type = rope.rope_type ?? rope.type;
      const long = type === 'su' || type === 'yarn' ? { rope_type: 'longrope' } : {}; // their old names in its files
      return {
        ...(fields.sliding_window !== null && { slidingWindow: fields.sliding_window }),
        ...readRotary(fields, headSizeOf(fields), source, { ...rope, ...long }),
      };
    },
    layout: {
      maps: [
        { name: 'self_attn.qkv_proj', parts: queryKeyValue },
        { name: 'mlp.gate_up_proj', parts: gateUp },
      ],
    },
  }),
  smollm3: family({
    prefix: 'SmolLM3',
    defaults: { rope_theta: 2e6, tie_word_embeddings: true, sliding_window: null, num_key_value_heads: 4 },
    more: { no_rope_layers: z.array(z.int()).nullish(), no_rope_layer_interval: countField.default(4) },
    decoder: (fields, source) => {
      const { num_hidden_layers: length, use_sliding_window: on } = fields;
      const rotated =
        fields.no_rope_layers ?? Array.from({ length }, (_, i) => (i + 1) % fields.no_rope_layer_interval);
      const kinds = rotated.slice(0, length).map((yes) => (on && !yes ? 'sliding_attention' : 'full_attention'));
      const unrotated = rotated.flatMap((yes, layer) => (yes || layer >= length ? [] : [layer]));
      const { attention_bias: biased, mlp_bias: feedForward } = fields;
      return {
        bias: { queryKeyValue: biased, attentionOutput: biased, feedForward },
        ...(unrotated.length > 0 && { unrotatedLayers: unrotated }),
        ...(on && readWindows(fields, fields.layer_types ?? kinds, source)),
      };
    },
  }),
  olmo2: family({
    prefix: 'Olmo2',
    defaults: { rms_norm_eps: 1e-5 },
    decoder: (fields) => ({ ...olmo, ...attentionBias(fields) }),
  }),
  olmo3: family({
    prefix: 'Olmo3',
    defaults: { rms_norm_eps: 1e-5, rope_theta: 5e5 },
    decoder: (fields, source) => ({
      ...olmo,
      ...attentionBias(fields),
      ...readWindows(fields, fields.layer_types ?? everyFull(4, fields), source),
      ...positionsByKind(fields, 5e5, source),
    }),
  }),
  granite: family({
    prefix: 'Granite',
    more: graniteFields,
    decoder: (fields) => {
      const { attention_bias: on, mlp_bias: feedForward } = fields;
      return { bias: { queryKeyValue: on, attentionOutput: on, feedForward }, ...granite(fields) };
    },
  }),
  granitemoehybrid: family({
    prefix: 'GraniteMoeHybrid',
    names: { intermediate_size: 'shared_intermediate_size' },
    more: {
      ...graniteFields,
      num_local_experts: z.int().nonnegative().default(8),
      position_embedding_type: z.string().nullish(),
      layers_block_type: z.array(z.string()).nullish(),
    },
    decoder: (fields, source) => {
      if (fields.num_local_experts > 0) throw unsupported(source, 'it is a mixture of experts beside a shared one');
      const kinds = fields.layer_types ?? fields.layers_block_type ?? ['mamba'];
      const other = kinds.find((kind) => kind !== 'attention' && kind !== 'full_attention');
      if (other !== undefined) throw unsupported(source, `some layers have "${other}" in place of attention`);
      const rotates = fields.position_embedding_type === 'rope';
      return {
        ...attentionBias(fields),
        ...granite(fields),
        ...(!rotates && { unrotatedLayers: Array.from({ length: fields.num_hidden_layers }, (_, i) => i) }),
      };
    },
    layout: {
      maps: [
        { name: 'shared_mlp.input_linear', parts: gateUp },
        { name: 'shared_mlp.output_linear', parts: ['mlp.down_proj'] },
      ],
    },
  }),
  gpt_neox: family({
    prefix: 'GPTNeoX',
    names: { rms_norm_eps: 'layer_norm_eps', partial_rotary_factor: 'rotary_pct', rope_theta: 'rotary_emb_base' },
    defaults: { hidden_act: 'gelu', layer_norm_eps: 1e-5, rotary_pct: 0.25, attention_bias: true },
    more: { use_parallel_residual: z.boolean().default(true) },
    decoder: (fields) => ({
      keyValueHeads: fields.num_attention_heads,
      gated: false,
      norm: 'layer',
      bias: { queryKeyValue: fields.attention_bias, attentionOutput: fields.attention_bias, feedForward: true },
      ...(fields.use_parallel_residual && { parallel: 'own norms' as const }),
    }),
    layout: {
      base: 'gpt_neox',
      embedding: 'embed_in',
      norm: 'final_layer_norm',
      head: { name: 'embed_out.weight', also: 'lm_head.weight' },
      maps: [
        { name: 'attention.query_key_value', parts: queryKeyValue, byHead: true },
        { name: 'attention.dense', parts: ['self_attn.o_proj'] },
        { name: 'mlp.dense_h_to_4h', parts: ['mlp.up_proj'] },
        { name: 'mlp.dense_4h_to_h', parts: ['mlp.down_proj'] },
      ],
    },
  }),
  stablelm: family({
    prefix: 'StableLm',
    names: { rms_norm_eps: 'layer_norm_eps' },
    defaults: { layer_norm_eps: 1e-5, partial_rotary_factor: 0.25 },
    more: { use_qkv_bias: flagField, qk_layernorm: flagField, use_parallel_residual: flagField },
    decoder: (fields, source) => {
      if (fields.qk_layernorm) throw unsupported(source, '"qk_layernorm" gives each head a layer norm of its own');
      return {
        norm: 'layer',
        bias: { queryKeyValue: fields.use_qkv_bias, attentionOutput: false, feedForward: false },
        ...(fields.use_parallel_residual && { parallel: 'one norm' as const }),
      };
    },
  }),
  ministral: family({
    prefix: 'Ministral',
    decoder: (fields, source) => {
      const kinds = Array.from({ length: fields.num_hidden_layers }, () => 'sliding_attention');
      return readWindows(fields, fields.layer_types ?? kinds, source);
    },
  }),
  ministral3: family({
    prefix: 'Ministral3',
    defaults: { rms_norm_eps: 1e-5, head_dim: 128, sliding_window: null },
    decoder: (fields, source) => {
      const { positions } = readRotary(fields, headSizeOf(fields), source);
      const { scaling } = positions;
      return {
        ...(fields.sliding_window !== null && { slidingWindow: fields.sliding_window }),
        // queries grow with the positions from the end of the original context on: heed stays within it
        ...(scaling?.kind === 'yarn' && { maxPositions: scaling.originalMaxPositions }),
      };
    },
  }),
} satisfies Record<string, FamilyEntry>;

export const gpt2Layout: Layout = {
  base: 'transformer',
  embedding: 'wte',
  positions: 'wpe',
  layers: 'h',
  norm: 'ln_f',
  maps: [
    { name: 'ln_1', parts: ['input_layernorm'] },
    { name: 'attn.c_attn', parts: queryKeyValue, transposed: true },
    { name: 'attn.c_proj', parts: ['self_attn.o_proj'], transposed: true },
    { name: 'ln_2', parts: ['post_attention_layernorm'] },
    { name: 'mlp.c_fc', parts: ['mlp.up_proj'], transposed: true },
    { name: 'mlp.c_proj', parts: ['mlp.down_proj'], transposed: true },
  ],
};
