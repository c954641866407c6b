/**
 * GGUF files, versions 2 and 3 (github.com/ggml-org/ggml, docs/gguf.md): "GGUF", the version, numbers of tensors and of
 * metadata; the metadata; names, shapes and places of the tensors; their bytes, aligned. A model may be split into
 * files that end in `-00001-of-0000N.gguf`.
 */
import { HeedError } from '../../error.ts';
import { onDisk, withFile } from '../../files.ts';
import { basename, dirname, existsSync, fstatSync, join, readSync, statSync } from '../../node.ts';
import { BLOCK_TYPES, type BlockType, OTHER_TYPES } from './blocks.ts';

/** A value of the metadata. Whole numbers of 64 bits are numbers too; those above 2^53 are refused. */
export type MetadataValue = number | boolean | string | MetadataList;
/** A list of the metadata. */
export type MetadataList = readonly string[] | Numbers;
/** Numbers of a list; those of booleans are 0 and 1. */
type Numbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;
/** The metadata by key. */
export type Metadata = ReadonlyMap<string, MetadataValue>;

/** A tensor of a file. */
export interface GgufTensor {
  /** The data type of its weights. */
  type: BlockType;
  /** The sizes of its axes, the outermost first: as in PyTorch, and the other way round than in the file. */
  shape: readonly number[];
}

/** A model's file or files, whose headers were read. */
export interface GgufFile {
  /** The first file's metadata. */
  metadata: Metadata;
  /** The tensors of all files, in their order. */
  tensors: ReadonlyMap<string, GgufTensor>;
  /** Dequantizes a tensor into memory of its size. */
  read(name: string, into: Float32Array): void;
}

/** The letters that files begin with. */
const MAGIC = 'GGUF';
const SPLIT = /-(\d{5})-of-(\d{5})\.gguf$/i;
const LONGEST_READ = 2 ** 30;
/** A header is read in pieces of this size, as far as it goes. */
const PIECE = 2 ** 20;
/** The weights that are dequantized at a time: they stay in the processor's cache. */
const WEIGHTS = 2 ** 16;
const MOST_AXES = 4;
/** Far more than any model has: each takes more memory than its bytes in the file. */
const MOST_ENTRIES = 2 ** 16;
/** The versions' only alignment so far is 32; others are powers of two. */
const ALIGNMENT = 32;

/** Whether a path is a file whose name or whose first bytes are those of GGUF. */
export function isGguf(path: string): boolean {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return false;
  if (/\.gguf$/i.test(path)) return true;
  return withSize(path, (file) => {
    const head = new Uint8Array(MAGIC.length);
    return readSync(file, head, 0, head.length, 0) === head.length && String.fromCharCode(...head) === MAGIC;
  });
}

/**
 * Reads the header of a file, and of the others where a model is split; weights are read later.
 *
 * @throws HeedError that names the file and what of the format is not as it should be.
 */
export function openGguf(path: string): GgufFile {
  const paths = partsOf(path);
  const parts = paths.map((part) => readHeader(part));
  const [{ metadata }] = parts;
  const tensors = new Map<string, Entry>();
  for (const part of parts) {
    for (const [name, entry] of part.tensors) {
      if (tensors.has(name)) throw ggufError(entry.path, name)('it occurs twice', 'Fetch the file again.');
      tensors.set(name, entry);
    }
  }
  const expected = metadata.get('split.tensors.count');
  if (paths.length > 1 && typeof expected === 'number' && expected !== tensors.size) {
    throw ggufError(path)(`its ${paths.length} parts have ${tensors.size} tensors, expected ${expected}`, AGAIN);
  }
  return {
    metadata,
    tensors,
    read(name, into) {
      const entry = tensors.get(name);
      if (!entry) throw ggufError(path, name)('there is no such tensor');
      readWeights(entry, name, into);
    },
  };
}

const AGAIN = 'Fetch all of its parts again.';

/** The paths of all parts of a model: a split one is opened by any of them. */
function partsOf(path: string): string[] {
  const [suffix, , number] = SPLIT.exec(path) ?? [];
  if (suffix === undefined) {
    if (!existsSync(path)) throw ggufError(path)('there is no such file', 'Check the path.');
    return [path];
  }
  const count = Number(number);
  const stem = basename(path).slice(0, -suffix.length);
  const paths = Array.from({ length: count }, (_, i) =>
    join(dirname(path), `${stem}-${String(i + 1).padStart(5, '0')}-of-${number}.gguf`),
  );
  const missing = paths.filter((part) => !existsSync(part));
  if (count === 0 || missing.length > 0) {
    const which = count === 0 ? 'it is not a part' : `it is one of ${count} parts, and "${missing[0]}" is missing`;
    throw ggufError(path)(which, 'All parts have to be in one folder: fetch the missing ones.');
  }
  return paths;
}

interface Entry extends GgufTensor {
  path: string;
  begin: number;
  bytes: number;
}

function readHeader(path: string): { metadata: Metadata; tensors: Map<string, Entry> } {
  return withSize(path, (file, size) => {
    const cursor = new Cursor(path, file, size);
    readPreamble(cursor);
    const [tensorCount, metadataCount] = [cursor.size('number of tensors'), cursor.size('number of metadata')];
    const counts = `${tensorCount} tensors and ${metadataCount} metadata`;
    // each of them takes more bytes than this in the file: a wrong number is found before memory is taken for it
    cursor.expect(tensorCount * 24 + metadataCount * 13, counts);
    if (Math.max(tensorCount, metadataCount) > MOST_ENTRIES) {
      throw cursor.fail(`it has ${counts}; heed reads at most ${MOST_ENTRIES} of each`);
    }
    const metadata = new Map<string, MetadataValue>();
    for (let i = 0; i < metadataCount; i++) {
      const key = cursor.string();
      if (metadata.has(key)) throw cursor.fail(`the metadata "${key}" occur twice`);
      metadata.set(key, readValue(cursor, key));
    }
    const alignment = metadata.get('general.alignment') ?? ALIGNMENT;
    if (typeof alignment !== 'number' || !Number.isInteger(Math.log2(alignment))) {
      throw cursor.fail(`"general.alignment" is ${alignment}, expected a power of two`);
    }
    const entries = Array.from({ length: tensorCount }, () => readEntry(cursor, path));
    const start = Math.ceil(cursor.at / alignment) * alignment;
    return { metadata, tensors: placed(path, entries, { start, alignment, size }) };
  });
}

/** The tensors by name, at their places in the file, none of which overlap. */
function placed(
  path: string,
  entries: [name: string, entry: Entry][],
  { start, alignment, size }: { start: number; alignment: number; size: number },
): Map<string, Entry> {
  const tensors = new Map<string, Entry>();
  for (const [name, entry] of entries) {
    const fail = ggufError(path, name);
    const begin = start + entry.begin;
    if (tensors.has(name)) throw fail('it occurs twice');
    if (entry.begin % alignment !== 0) throw fail(`its bytes begin at ${entry.begin}, not aligned to ${alignment}`);
    if (begin + entry.bytes > size) throw fail(`it ends at byte ${begin + entry.bytes}, the file has ${size}`, CUT);
    tensors.set(name, { ...entry, begin });
  }
  let end = start;
  for (const [name, entry] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin)) {
    if (entry.begin < end) throw ggufError(path, name)('its bytes overlap with those of another tensor');
    end = entry.begin + entry.bytes;
  }
  return tensors;
}

const CUT = 'The file is cut short: fetch it again.';

function readPreamble(cursor: Cursor): void {
  const magic = String.fromCharCode(...cursor.bytes(4, 'the letters "GGUF"'));
  if (magic !== MAGIC) throw cursor.fail('it does not begin with "GGUF"', 'Is it a GGUF file?');
  const version = cursor.u32();
  if (version === 2 || version === 3) return;
  const swapped = ((version & 255) << 24) | (version >>> 24);
  if (swapped === 2 || swapped === 3) {
    throw cursor.fail(
      'it is big-endian, which heed does not read',
      'Convert it: python -m gguf.scripts.gguf_convert_endian FILE little',
    );
  }
  throw cursor.fail(`its version is ${version}, expected 2 or 3`, 'Convert the model again with a newer llama.cpp.');
}

function readEntry(cursor: Cursor, path: string): [name: string, entry: Entry] {
  const name = cursor.string();
  const fail = ggufError(path, name);
  const axes = cursor.u32();
  if (axes > MOST_AXES) throw fail(`it has ${axes} axes, at most ${MOST_AXES} are allowed`);
  const shape = Array.from({ length: axes }, () => cursor.size('size of an axis')).reverse();
  const id = cursor.u32();
  const type = BLOCK_TYPES.find((one) => one.id === id);
  if (!type) {
    const known = BLOCK_TYPES.map((one) => one.name).join(', ');
    throw fail(
      `its data type is ${OTHER_TYPES[id] ?? `number ${id}`}; supported are ${known}`,
      'Choose another quantization of the model, such as Q4_K_M, Q8_0 or F16.',
    );
  }
  const count = shape.reduce((product, n) => product * n, 1);
  const row = shape.at(-1) ?? 1;
  if (!Number.isSafeInteger(count) || count === 0) throw fail(`its shape [${shape}] is not a count of weights`);
  if (row % type.weights !== 0) {
    throw fail(`its rows have ${row} weights, not a multiple of ${type.weights}, the size of a block of ${type.name}`);
  }
  const begin = cursor.size('offset of a tensor');
  return [name, { path, type, shape, begin, bytes: (count / type.weights) * type.bytes }];
}

// The types of metadata, by their numbers in the file.
const BOOL = 7;
const STRING = 8;
const LIST = 9;
const TYPES = [
  { bytes: 1, list: Uint8Array, read: (view: DataView) => view.getUint8(0) },
  { bytes: 1, list: Int8Array, read: (view: DataView) => view.getInt8(0) },
  { bytes: 2, list: Uint16Array, read: (view: DataView) => view.getUint16(0, true) },
  { bytes: 2, list: Int16Array, read: (view: DataView) => view.getInt16(0, true) },
  { bytes: 4, list: Uint32Array, read: (view: DataView) => view.getUint32(0, true) },
  { bytes: 4, list: Int32Array, read: (view: DataView) => view.getInt32(0, true) },
  { bytes: 4, list: Float32Array, read: (view: DataView) => view.getFloat32(0, true) },
  { bytes: 1, list: Uint8Array, read: (view: DataView) => view.getUint8(0) },
  undefined, // text
  undefined, // list
  { bytes: 8, list: Float64Array, read: (view: DataView) => Number(view.getBigUint64(0, true)) },
  { bytes: 8, list: Float64Array, read: (view: DataView) => Number(view.getBigInt64(0, true)) },
  { bytes: 8, list: Float64Array, read: (view: DataView) => view.getFloat64(0, true) },
] as const;
/** A text has at least its length. */
const SHORTEST = 8;

function readValue(cursor: Cursor, key: string): MetadataValue {
  const type = cursor.u32();
  if (type === STRING) return cursor.string();
  if (type !== LIST) return readScalar(cursor, type, key);
  const inner = cursor.u32();
  const count = cursor.size('length of a list');
  if (inner === STRING) {
    cursor.expect(count * SHORTEST, `the ${count} texts of "${key}"`);
    return Array.from({ length: count }, () => cursor.string());
  }
  const { bytes, list, read } = numberType(cursor, inner, key);
  cursor.expect(count * bytes, `the ${count} numbers of "${key}"`);
  const numbers = new list(count);
  for (let i = 0; i < count; i++) numbers[i] = read(cursor.view(bytes, key));
  return numbers;
}

function readScalar(cursor: Cursor, type: number, key: string): number | boolean {
  const { bytes, read } = numberType(cursor, type, key);
  const number = read(cursor.view(bytes, key));
  return type === BOOL ? number !== 0 : number;
}

function numberType(cursor: Cursor, type: number, key: string) {
  const found = TYPES[type];
  if (found) return found;
  throw cursor.fail(
    `the metadata "${key}" have the type ${type}${type === LIST ? ' within a list' : ''}, expected 0 to 12`,
  );
}

const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Reads a header from the front. Nothing is taken at its word: each length is held against what the file has left. */
class Cursor {
  readonly fail: ReturnType<typeof ggufError>;
  /** The next byte in the file. */
  at = 0;
  private readonly file: number;
  private readonly end: number;
  private piece: Uint8Array = new Uint8Array(0);
  private begin = 0;

  constructor(path: string, file: number, end: number) {
    this.fail = ggufError(path);
    this.file = file;
    this.end = end;
  }

  /** @throws HeedError if the file ends within so many bytes. */
  expect(bytes: number, what: string): void {
    if (this.at + bytes <= this.end) return;
    throw this.fail(`${what} would end at byte ${this.at + bytes} at least, the file has ${this.end}`, CUT);
  }

  /** The next bytes: a view that is valid until the next call. */
  bytes(count: number, what: string): Uint8Array {
    this.expect(count, what);
    if (this.at + count > this.begin + this.piece.length) {
      const length = Math.min(Math.max(count, PIECE), this.end - this.at);
      const buffer = this.piece.buffer.byteLength < length ? new ArrayBuffer(length) : this.piece.buffer;
      this.piece = new Uint8Array(buffer, 0, length);
      fill(this.file, this.piece, this.at, this.fail);
      this.begin = this.at;
    }
    const from = this.at - this.begin;
    this.at += count;
    return this.piece.subarray(from, from + count);
  }

  view(count: number, what: string): DataView {
    const bytes = this.bytes(count, what);
    return new DataView(bytes.buffer, bytes.byteOffset, count);
  }

  u32(): number {
    return this.view(4, 'a number').getUint32(0, true);
  }

  /** A count of 64 bits. */
  size(what: string): number {
    const size = Number(this.view(8, what).getBigUint64(0, true));
    if (!Number.isSafeInteger(size)) throw this.fail(`the ${what} is ${size}, which is too large`, 'Fetch it again.');
    return size;
  }

  string(): string {
    const length = this.size('length of a text');
    return UTF8.decode(this.bytes(length, `a text of ${length} bytes`));
  }
}

function readWeights({ path, type, shape, begin }: Entry, name: string, into: Float32Array): void {
  const fail = ggufError(path, name);
  const count = shape.reduce((product, n) => product * n, 1);
  if (into.length !== count) throw fail(`it has ${count} weights, expected ${into.length}`);
  withSize(path, (file) => {
    const bytes = new Uint8Array(Math.ceil(Math.min(WEIGHTS, count) / type.weights) * type.bytes);
    for (let done = 0; done < count; done += WEIGHTS) {
      const weights = into.subarray(done, done + WEIGHTS);
      const part = bytes.subarray(0, (weights.length / type.weights) * type.bytes);
      fill(file, part, begin + (done / type.weights) * type.bytes, fail);
      type.dequantize(part, weights);
    }
  });
}

function fill(file: number, bytes: Uint8Array, position: number, fail: ReturnType<typeof ggufError>): void {
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(file, bytes, done, Math.min(bytes.length - done, LONGEST_READ), position + done);
    if (read === 0) throw fail('the file ended while it was read', 'Is another process writing it?');
    done += read;
  }
}

const withSize = <T>(path: string, use: (file: number, size: number) => T): T =>
  onDisk('read', path, () => withFile(path, (file) => use(file, fstatSync(file).size)));

/** Errors of a file, or of a tensor in it. */
export const ggufError = (path: string, tensor?: string) => (message: string, hint?: string) =>
  new HeedError(`GGUF file "${path}"${tensor === undefined ? '' : `, tensor "${tensor}"`}: ${message}.`, { hint });
