/** Writes GGUF files, version 3: metadata and tensors whose bytes are made while they are written. */
import { HeedError } from '../../error.ts';
import { createFolder, writeFileAtomic } from '../../files.ts';
import { dirname } from '../../node.ts';
import { type BlockType, blockType } from './blocks.ts';
import type { MetadataEntries, MetadataEntry } from './metadata.ts';

/** A tensor to be written. */
export interface TensorToWrite {
  /** Its name in the file. */
  name: string;
  /** Its shape, as in PyTorch. */
  shape: readonly number[];
  /** The data type of its weights in the file. */
  type: BlockType;
  /** Its weights, row-major. Called when they are written. */
  weights: () => Float32Array;
}

const VERSION = 3;
const ALIGNMENT = 32;
/** The weights that are quantized at a time, a multiple of every block's. */
const WEIGHTS = 2 ** 16;
const TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, text: 8 } as const;
const LIST = 9;

/** Writes a file, whole or not at all, and its folder if needed. @throws HeedError if the system refuses. */
export function writeGguf(path: string, metadata: MetadataEntries, tensors: readonly TensorToWrite[]): void {
  createFolder(dirname(path));
  writeFileAtomic(path, parts(metadata, tensors));
}

function* parts(metadata: MetadataEntries, tensors: readonly TensorToWrite[]): Generator<Uint8Array> {
  const head = headerOf(metadata, tensors);
  yield head;
  for (const { type, weights } of tensors) {
    const all = weights();
    yield* blocksOf(type, all);
    yield padding(bytesOf(type, all.length));
  }
}

function headerOf(metadata: MetadataEntries, tensors: readonly TensorToWrite[]): Uint8Array {
  const entries = Object.entries(metadata);
  const bytes: Uint8Array[] = [Buffer.from('GGUF'), u32(VERSION), u64(tensors.length), u64(entries.length)];
  for (const [key, entry] of entries) bytes.push(text(key), valueBytes(entry));
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    const count = shape.reduce((a, b) => a * b, 1);
    if (shape.at(-1)! % type.weights !== 0)
      throw new HeedError(`internal: "${name}" has no whole blocks of ${type.name}`);
    bytes.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(type.id), u64(offset));
    const size = bytesOf(type, count);
    offset += size + padding(size).length;
  }
  const head = Buffer.concat(bytes);
  return Buffer.concat([head, padding(head.length)]);
}

const bytesOf = (type: BlockType, weights: number) => (weights / type.weights) * type.bytes;
const padding = (length: number) => new Uint8Array(Math.ceil(length / ALIGNMENT) * ALIGNMENT - length);

function* blocksOf(type: BlockType, weights: Float32Array): Generator<Uint8Array> {
  const bytes = new Uint8Array(bytesOf(type, Math.min(WEIGHTS, weights.length)));
  for (let begin = 0; begin < weights.length; begin += WEIGHTS) {
    const part = weights.subarray(begin, begin + WEIGHTS);
    const to = bytes.subarray(0, bytesOf(type, part.length));
    type.quantize!(part, to);
    yield to;
  }
}

/** A value: its type, and for a list the type and number of its items. The items of large lists are one piece. */
function valueBytes([type, value]: MetadataEntry): Uint8Array {
  const one = (item: number | boolean | string): Uint8Array => {
    switch (type) {
      case 'text':
        return text(item as string);
      case 'bool':
        return Uint8Array.of(item ? 1 : 0);
      case 'f32':
        return f32(item as number);
      default:
        return i32(item as number);
    }
  };
  if (typeof value !== 'object') return Buffer.concat([u32(TYPES[type]), one(value)]);
  const items = (value as readonly (number | boolean | string)[]).map(one);
  return Buffer.concat([u32(LIST), u32(TYPES[type]), u64(value.length), Buffer.concat(items)]);
}

const u32 = (value: number) => i32(value);

/** The low 32 bits: those of a signed and of an unsigned number alike. */
function i32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function f32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return bytes;
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** The type of a tensor where weights are stored as `dtype`. */
export function typeFor(dtype: string, name: string, shape: readonly number[]): BlockType {
  if (shape.length === 1 || /^(position_embd|.*ffn_gate_inp)\.weight$/.test(name)) return blockType('F32');
  // what every token passes through loses most: it keeps 8 bits
  const wide = /^(token_embd|output)\.weight$/.test(name) && dtype.startsWith('Q4');
  const type = blockType(wide ? 'Q8_0' : dtype);
  return shape.at(-1)! % type.weights === 0 ? type : blockType('F16');
}
