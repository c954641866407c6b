/** Where the numbers of a checkpoint go: into float32, or, for a frozen base of adapters, into blocks of 8 or 4 bits. */
import { Value } from '../engine/value.ts';
import { HeedError } from '../error.ts';
import { blockNames, blockShapes, dequantize, type QuantizedWeight, quantizeRows } from './blocks.ts';
import { type DecoderConfig, namedLinears } from './decoder-config.ts';
import { type Arena, createArena, type ParameterSpec } from './parameters.ts';

/** Takes the numbers of parameters, one after another. */
export interface ParameterSink {
  /** What the numbers are in at the end. */
  readonly parameters: Arena;
  /** Room for the numbers of a parameter. */
  room(name: string): Float32Array;
  /** To be called once the room of a parameter is full. In parts. */
  keep(name: string): Generator<void>;
}

/** A sink for parameters in float32; with `baseBits` of the config, the linear layers' weights go into blocks. */
export function createParameterSink(config: DecoderConfig, specs: readonly ParameterSpec[]): ParameterSink {
  const { baseBits: bits } = config;
  if (!bits) {
    const parameters = createArena(specs);
    return { parameters, room: (name) => parameters.values[name].data, *keep() {} };
  }
  const split = splitSpecs(config, specs);
  const inBlocks = split.blocks!.specs;
  const plain = createArena(split.specs);
  const weights = new Map(inBlocks.map(({ name, shape }) => [name, emptyBlocks(shape as [number, number], bits)]));
  const values = [...weights].flatMap(([name, { numbers, scales }]) => {
    const names = blockNames(name);
    return [[names.numbers, numbers] as const, [names.scales, scales] as const];
  });
  const rooms = new Map<string, Float32Array>();
  return {
    parameters: withBlocks(plain, { bits, specs: inBlocks }, Object.fromEntries(values)),
    room(name) {
      const weight = weights.get(name);
      if (!weight) return plain.values[name].data;
      const [out, inner] = weight.quantized.shape;
      const room = new Float32Array(out * inner);
      rooms.set(name, room);
      return room;
    },
    *keep(name) {
      const room = rooms.get(name);
      if (!room) return;
      const { quantized } = weights.get(name)!;
      const [out, inner] = quantized.shape;
      const rows = Math.ceil(AT_ONCE / inner);
      for (let row = 0; row < out; row += rows) {
        quantizeRows(room, quantized, row, Math.min(out, row + rows));
        yield;
      }
      rooms.delete(name);
    },
  };
}

/** Which of a model's parameters are float32, and which are in blocks. */
export function splitSpecs(config: DecoderConfig, specs: readonly ParameterSpec[]): Pick<Arena, 'specs' | 'blocks'> {
  const { baseBits: bits } = config;
  if (!bits) return { specs };
  const linears = linearWeights(config);
  return {
    specs: specs.filter(({ name }) => !linears.has(name)),
    blocks: { bits, specs: specs.filter(({ name }) => linears.has(name)) },
  };
}

/** Numbers that are rounded before the event loop may have a turn. */
const AT_ONCE = 1 << 20;

/** The weights of all linear layers. */
const linearWeights = (config: DecoderConfig): ReadonlySet<string> =>
  new Set(namedLinears(config).map(({ name }) => `${name}.weight`));

function emptyBlocks(shape: readonly [number, number], bits: QuantizedWeight['bits']) {
  const shapes = blockShapes(shape, bits);
  const [numbers, scales] = [new Value('uint8', shapes.numbers), new Value('float32', shapes.scales)];
  return { numbers, scales, quantized: { bits, shape, data: numbers.data, scales: scales.data } };
}

function withBlocks(plain: Arena, blocks: Arena['blocks'], values: Readonly<Record<string, Value>>): Arena {
  return {
    ...plain,
    get flat() {
      return plain.flat;
    },
    blocks,
    values: { ...plain.values, ...(values as Arena['values']) },
    [Symbol.dispose]() {
      for (const value of Object.values(values)) value[Symbol.dispose]();
      plain[Symbol.dispose]();
    },
  };
}

/** Parameters with copies of the weights that others have in blocks, if they have any. */
export function withBlocksOf({ blocks, values }: Pick<Arena, 'blocks' | 'values'>, plain: Arena): Arena {
  if (!blocks) return plain;
  const names = blocks.specs.flatMap(({ name }) => Object.values(blockNames(name)));
  const copy = (value: Value) => {
    const copied = new Value(value.dtype, value.shape);
    (copied.data as Uint8Array).set(value.data as Uint8Array);
    return copied;
  };
  return withBlocks(plain, blocks, Object.fromEntries(names.map((name) => [name, copy(values[name])])));
}

/** The numbers of a parameter in float32: those that it holds, or a copy of those that its blocks stand for. */
export function floatsOf({ values, blocks }: Pick<Arena, 'values' | 'blocks'>, name: string): Float32Array {
  const shape = blocks?.specs.find((spec) => spec.name === name)?.shape as [number, number] | undefined;
  if (!blocks || !shape) return values[name].data;
  const { numbers, scales } = blockNames(name);
  const data = values[numbers].data as unknown as Uint8Array;
  return dequantize({ bits: blocks.bits, shape, data, scales: values[scales].data });
}

/** @throws HeedError where weights are in blocks: no file of another program's has them so. */
export function checkFloats({ blocks }: Pick<Arena, 'blocks'>): void {
  if (!blocks) return;
  throw new HeedError(`The model's weights are in ${blocks.bits} bits, and such a model is not saved.`, {
    hint: 'Load it without baseBits; or train adapters with lora, whose result is saved in float32.',
  });
}

/** The values of weights in blocks. They do not change. */
export function blocksIn(config: DecoderConfig, weights: Readonly<Record<string, Value>>): Record<string, Value> {
  if (!config.baseBits) return {};
  const names = [...linearWeights(config)].flatMap((name) => Object.values(blockNames(name)));
  return Object.fromEntries(names.map((name) => [name, weights[name]]));
}

/** The specs of all parameters, those in blocks included. */
export const allSpecs = ({ specs, blocks }: Pick<Arena, 'specs' | 'blocks'>): readonly ParameterSpec[] =>
  blocks ? [...specs, ...blocks.specs] : specs;

/** Bytes of parameters. */
export function parameterBytes({ specs, blocks }: Pick<Arena, 'specs' | 'blocks'>): number {
  const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const inBlocks = blocks?.specs.map(({ shape }) => {
    const { numbers, scales } = blockShapes(shape, blocks.bits);
    return sizeOf(numbers) + 4 * sizeOf(scales);
  });
  return [...specs.map(({ shape }) => 4 * sizeOf(shape)), ...(inBlocks ?? [])].reduce((a, b) => a + b, 0);
}
