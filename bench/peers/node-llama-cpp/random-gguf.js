/** Writes a Llama with random weights as a GGUF file (version 3, little-endian): what llama.cpp reads. */
import { closeSync, openSync, writeSync } from 'node:fs';

const U32 = 4;
const F32 = 6;
const STRING = 8;
const ARRAY = 9;
const ALIGNMENT = 32;
/** ggml's types: how many weights a block has, and its bytes. */
const TYPES = { F32: { id: 0, block: 1, bytes: 4 }, Q8_0: { id: 8, block: 32, bytes: 34 } };
/** Weights are whole numbers from -127 to 127 times 2⁻¹², which both types hold exactly: a deviation of 0.018. */
const SCALE = 2 ** -12;
const SCALE_AS_F16 = 3 << 10;

const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const f32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};
const u64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const string = (text) => {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64(bytes.length), bytes]);
};
const aligned = (n) => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

/** The metadata, as [key, type, payload]. Llama.cpp wants a tokenizer: made-up words, which nothing here reads. */
function metadata(config, contextLength) {
  const size = config.vocab_size;
  const words = Array.from({ length: size }, (_, i) => string(`w${i}`));
  const kinds = Buffer.alloc(4 * size);
  for (let i = 0; i < size; i++) kinds.writeInt32LE(1, 4 * i);
  const array = (type, bytes) => Buffer.concat([u32(type), u64(size), bytes]);
  return [
    ['general.architecture', STRING, string('llama')],
    ['llama.context_length', U32, u32(contextLength)],
    ['llama.embedding_length', U32, u32(config.hidden_size)],
    ['llama.block_count', U32, u32(config.num_hidden_layers)],
    ['llama.feed_forward_length', U32, u32(config.intermediate_size)],
    ['llama.attention.head_count', U32, u32(config.num_attention_heads)],
    ['llama.attention.head_count_kv', U32, u32(config.num_key_value_heads)],
    ['llama.attention.layer_norm_rms_epsilon', F32, f32(1e-6)],
    ['llama.rope.dimension_count', U32, u32(config.head_dim)],
    ['llama.rope.freq_base', F32, f32(10_000)],
    ['llama.vocab_size', U32, u32(size)],
    ['tokenizer.ggml.model', STRING, string('gpt2')],
    ['tokenizer.ggml.pre', STRING, string('default')],
    ['tokenizer.ggml.tokens', ARRAY, array(STRING, Buffer.concat(words))],
    ['tokenizer.ggml.token_type', ARRAY, array(5, kinds)],
    ['tokenizer.ggml.merges', ARRAY, Buffer.concat([u32(STRING), u64(1), string('w 0')])],
    ['tokenizer.ggml.bos_token_id', U32, u32(0)],
    ['tokenizer.ggml.eos_token_id', U32, u32(0)],
  ];
}

/** Names and sizes [in, out] of the tensors; without "output" the embedding is the output layer. */
function tensors(config) {
  const d = config.hidden_size;
  const wide = config.num_attention_heads * config.head_dim;
  const narrow = config.num_key_value_heads * config.head_dim;
  const f = config.intermediate_size;
  const layer = {
    attn_norm: [d],
    attn_q: [d, wide],
    attn_k: [d, narrow],
    attn_v: [d, narrow],
    attn_output: [wide, d],
    ffn_norm: [d],
    ffn_gate: [d, f],
    ffn_up: [d, f],
    ffn_down: [f, d],
  };
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) =>
    Object.entries(layer).map(([name, shape]) => [`blk.${i}.${name}.weight`, shape]),
  );
  return [['token_embd.weight', [d, config.vocab_size]], ...layers.flat(), ['output_norm.weight', [d]]];
}

/** `count` random weights, or ones, as bytes of the type. */
function weights(type, count, ones, next) {
  if (type === TYPES.F32) {
    const values = Float32Array.from({ length: count }, () => (ones ? 1 : next() * SCALE));
    return Buffer.from(values.buffer);
  }
  const bytes = Buffer.alloc((count / type.block) * type.bytes);
  for (let at = 0; at < bytes.length; at += type.bytes) {
    bytes.writeUInt16LE(SCALE_AS_F16, at);
    for (let i = 2; i < type.bytes; i++) bytes.writeInt8(next(), at + i);
  }
  return bytes;
}

/**
 * @param {string} path
 * @param {object} config hidden_size, num_hidden_layers, …: Hugging Face's names
 * @param {'F32' | 'Q8_0'} typeName of the matrices; the norms are F32
 */
export function writeRandomGguf(path, config, typeName) {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * 255) - 127;
  };
  const keys = metadata(config, 2048);
  let offset = 0;
  const all = tensors(config).map(([name, shape]) => {
    const type = shape.length === 1 ? TYPES.F32 : TYPES[typeName];
    const count = shape.reduce((product, n) => product * n, 1);
    const info = Buffer.concat([string(name), u32(shape.length), ...shape.map(u64), u32(type.id), u64(offset)]);
    offset += aligned((count / type.block) * type.bytes);
    return { info, type, count, ones: shape.length === 1 };
  });
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(all.length),
    u64(keys.length),
    ...keys.flatMap(([key, type, payload]) => [string(key), u32(type), payload]),
    ...all.map(({ info }) => info),
  ]);
  const file = openSync(path, 'w');
  const write = (bytes) => writeSync(file, Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]));
  try {
    write(header);
    for (const { type, count, ones } of all) write(weights(type, count, ones, next));
  } finally {
    closeSync(file);
  }
}
