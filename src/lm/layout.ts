/**
 * How checkpoints store a decoder's parameters: Llama's relatives under our names; GPT-2 under its own, with q, k and v
 * fused and linear maps stored [in, out] (Transformers' Conv1D).
 */
import { HeedError } from '../error.ts';
import { type DecoderConfig, EMBEDDING, FINAL_NORM, HEAD, layerName, POSITIONS } from '../nn/decoder-config.ts';

/** The weight of a classifier's scores, [labels, hidden], as in Hugging Face checkpoints. */
export const SCORE = 'score.weight';

export interface StoredTensor {
  /** Name in the checkpoint. */
  name: string;
  /** Shape in the checkpoint. */
  shape: readonly number[];
  /** The parameters it holds, one after another along their outputs. */
  parameters: readonly string[];
  /** Whether the matrix is stored [in, out]. */
  transposed: boolean;
}

interface Shaped {
  name: string;
  shape: readonly number[];
}

/** The tensors of a checkpoint that hold these parameters, in the order of a forward pass. */
export function storedTensors(config: DecoderConfig, parameters: readonly Shaped[]): StoredTensor[] {
  if (config.positions.kind !== 'learned') {
    return parameters.map(({ name, shape }) => ({ name, shape, parameters: [name], transposed: false }));
  }
  return gpt2Tensors(config, new Map(parameters.map(({ name, shape }) => [name, shape])));
}

/** Prefix of the decoder's names in a checkpoint; some checkpoints leave it out. */
export const basePrefix = (config: DecoderConfig): string =>
  config.positions.kind === 'learned' ? 'transformer.' : 'model.';

function gpt2Tensors(config: DecoderConfig, shapes: ReadonlyMap<string, readonly number[]>): StoredTensor[] {
  const shapeOf = (name: string): readonly number[] => {
    const shape = shapes.get(name);
    if (!shape) throw new HeedError(`internal: a GPT-2 decoder has no parameter "${name}"`);
    return shape;
  };
  const outputs = (parameters: string[]) => parameters.reduce((sum, name) => sum + shapeOf(name)[0], 0);
  const plain = (name: string, ...parameters: string[]): StoredTensor => ({
    name,
    shape: [outputs(parameters), ...shapeOf(parameters[0]).slice(1)],
    parameters,
    transposed: false,
  });
  const norm = (name: string, ours: string) => [
    plain(`${name}.weight`, `${ours}.weight`),
    plain(`${name}.bias`, `${ours}.bias`),
  ];
  const conv1d = (name: string, ...ours: string[]): StoredTensor[] => {
    const weights = ours.map((linear) => `${linear}.weight`);
    return [
      {
        name: `${name}.weight`,
        shape: [shapeOf(weights[0])[1], outputs(weights)],
        parameters: weights,
        transposed: true,
      },
      plain(`${name}.bias`, ...ours.map((linear) => `${linear}.bias`)),
    ];
  };
  const layers = Array.from({ length: config.layers }, (_, layer) => {
    const [at, ours] = [`transformer.h.${layer}`, layerName(layer)];
    return [
      ...norm(`${at}.ln_1`, `${ours}.input_layernorm`),
      ...conv1d(`${at}.attn.c_attn`, ...['q', 'k', 'v'].map((name) => `${ours}.self_attn.${name}_proj`)),
      ...conv1d(`${at}.attn.c_proj`, `${ours}.self_attn.o_proj`),
      ...norm(`${at}.ln_2`, `${ours}.post_attention_layernorm`),
      ...conv1d(`${at}.mlp.c_fc`, `${ours}.mlp.up_proj`),
      ...conv1d(`${at}.mlp.c_proj`, `${ours}.mlp.down_proj`),
    ];
  });
  return [
    plain('transformer.wte.weight', EMBEDDING),
    plain('transformer.wpe.weight', POSITIONS),
    ...layers.flat(),
    ...norm('transformer.ln_f', FINAL_NORM),
    ...[HEAD, SCORE].filter((name) => shapes.has(name)).map((name) => plain(name, name)),
  ];
}

/** Copies a stored tensor's numbers into its parameters, bit for bit. */
export function unpack(tensor: StoredTensor, stored: Float32Array, parameters: readonly Float32Array[]): void {
  const from = words(stored);
  const [inputs, width] = tensor.shape;
  let begin = 0;
  for (const parameter of parameters) {
    const to = words(parameter);
    if (tensor.transposed) {
      transpose(from.subarray(begin), width, to, inputs, inputs, to.length / inputs);
      begin += to.length / inputs;
    } else {
      to.set(from.subarray(begin, begin + to.length));
      begin += to.length;
    }
  }
}

/** The inverse of `unpack`. */
export function pack(tensor: StoredTensor, parameters: readonly Float32Array[], stored: Float32Array): void {
  const to = words(stored);
  const [inputs, width] = tensor.shape;
  let begin = 0;
  for (const parameter of parameters) {
    const from = words(parameter);
    if (tensor.transposed) {
      transpose(from, inputs, to.subarray(begin), width, from.length / inputs, inputs);
      begin += from.length / inputs;
    } else {
      to.set(from, begin);
      begin += from.length;
    }
  }
}

/** Numbers as bits: an assignment of floats may change the payload of a NaN. */
const words = (floats: Float32Array) => new Uint32Array(floats.buffer, floats.byteOffset, floats.length);

const TILE = 32;

/**
 * to[column, row] = from[row, column]; the strides are the distances between rows. Works in tiles, which suit the
 * cache.
 */
function transpose(
  from: Uint32Array,
  fromStride: number,
  to: Uint32Array,
  toStride: number,
  rows: number,
  columns: number,
): void {
  for (let row0 = 0; row0 < rows; row0 += TILE) {
    const row1 = Math.min(rows, row0 + TILE);
    for (let column0 = 0; column0 < columns; column0 += TILE) {
      const column1 = Math.min(columns, column0 + TILE);
      for (let row = row0; row < row1; row++) {
        for (let column = column0; column < column1; column++) {
          to[column * toStride + row] = from[row * fromStride + column];
        }
      }
    }
  }
}
