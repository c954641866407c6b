/**
 * Attention through a cache, in the graph: ONNX Runtime's GroupQueryAttention, which rotates, appends to the cache in place
 * and attends, each row by its own length.
 */
import { constant, emitMany, type Graph, input, type Tensor } from '../engine/graph.ts';
import { rotary } from '../engine/ops/attention.ts';
import { concat, expand, reshape, slice } from '../engine/ops/shape.ts';
import type { Attend } from './decoder.ts';
import { type DecoderConfig, isWindowed, layerPositions, type RotaryPositions } from './decoder-config.ts';
import { LAST_POSITIONS } from './decoder-step.ts';

/** The input with a layer's earlier keys or values. */
export const pastName = (layer: number, what: 'keys' | 'values') => `past ${what} ${layer}`;
/** The output with a layer's keys or values, new ones included. */
export const presentName = (layer: number, what: 'keys' | 'values') => `present ${what} ${layer}`;

/** Attention through the cache, and the cache after it. */
export function cachedAttention(g: Graph, config: DecoderConfig, positions: Tensor) {
  const { heads, keyValueHeads, headSize, slidingWindow, attentionScale, attentionSoftCap } = config;
  const lengths = input(g, LAST_POSITIONS, ['rows'], 'int32');
  const total = input(g, 'total', [], 'int32');
  const rotations = rotationsOf(config).map(({ positions: own, names }) => {
    const half = (own.size ?? headSize) / 2;
    return {
      own,
      tables: names.map((name) => input(g, name, ['capacity', half])),
      fused: rotatesItself(own, headSize),
    };
  });
  const size = storedSize(headSize);
  const cacheShape = ['rows', keyValueHeads, 'capacity', size];
  const present: Record<string, Tensor> = {};
  const attend: Attend = (q, k, v, layer) => {
    const own = layerPositions(config, layer);
    const rotation = rotations.find((rotation) => rotation.own === own);
    const { tables, fused } = rotation ?? { tables: [], fused: false };
    const turned = (x: Tensor) =>
      rotation && !fused ? rotary(x, positions, tables[0], tables[1], { headSize, interleaved: own?.interleaved }) : x;
    const inputs = [widen(turned(q), headSize), widen(turned(k), headSize), widen(v, headSize)];
    const past = (['keys', 'values'] as const).map((what) => input(g, pastName(layer, what), cacheShape));
    const [mixed, keys, values] = emitMany(
      'GroupQueryAttention',
      [...(unsplit(inputs) ?? inputs), ...past, lengths, total, ...(fused ? tables : [undefined, undefined])],
      [{ shape: inputs[0].shape }, { shape: cacheShape }, { shape: cacheShape }],
      {
        domain: 'com.microsoft',
        attributes: {
          num_heads: heads,
          kv_num_heads: keyValueHeads,
          do_rotary: Number(fused),
          rotary_interleaved: Number(fused && own?.interleaved === true),
          scale: { float: attentionScale ?? 1 / Math.sqrt(headSize) },
          ...(isWindowed(config, layer) && { local_window_size: slidingWindow }),
          ...(attentionSoftCap !== undefined && { softcap: { float: attentionSoftCap } }),
        },
      },
    );
    present[presentName(layer, 'keys')] = keys;
    present[presentName(layer, 'values')] = values;
    return narrow(mixed, headSize);
  };
  return { attend, present };
}

/** What three tensors were split from, which the operator takes as its first input, without the others. */
function unsplit([q, k, v]: readonly Tensor[]): (Tensor | undefined)[] | undefined {
  const made = q.graph.producer.get(q.name);
  const isWhole = made?.op === 'Split' && made.outputs.join() === [q, k, v].map(({ name }) => name).join();
  return isWhole ? [made.inputTensors[0], undefined, undefined] : undefined;
}

// What the operator requires of a head's size. Heads of other sizes are rotated before it, and widened with zeros.
const rotatesItself = ({ size }: RotaryPositions, headSize: number) =>
  (size ?? headSize) === headSize && headSize % 16 === 0;
export const storedSize = (headSize: number) => Math.ceil(headSize / 8) * 8;

function widen(x: Tensor, headSize: number): Tensor {
  const size = storedSize(headSize);
  if (size === headSize) return x;
  const [rows, time, width] = x.shape;
  const heads = Number(width) / headSize;
  const zeros = expand(constant(x.graph, [0], [1, 1, 1, 1]), [rows, time, heads, size - headSize]);
  return reshape(concat([reshape(x, [rows, time, heads, headSize]), zeros], 3), [rows, time, heads * size]);
}

function narrow(x: Tensor, headSize: number): Tensor {
  const size = storedSize(headSize);
  if (size === headSize) return x;
  const [rows, time, width] = x.shape;
  const heads = Number(width) / size;
  return reshape(slice(reshape(x, [rows, time, heads, size]), 3, 0, headSize), [rows, time, heads * headSize]);
}

/** The rotations of all layers, each with the names of its tables of cosines and sines. */
export function rotationsOf(
  config: DecoderConfig,
): { positions: RotaryPositions; names: [cos: string, sin: string] }[] {
  const all = new Set(Array.from({ length: config.layers }, (_, layer) => layerPositions(config, layer)));
  return [...all].flatMap((positions, i) =>
    positions ? [{ positions, names: i === 0 ? ['cos', 'sin'] : [`cos ${i}`, `sin ${i}`] }] : [],
  );
}
