/**
 * Messages of Protocol Buffers from a description of their fields, as much of them as Tinker's protocol, ONNX and
 * TensorBoard need. Fields are written in the order in which they are described.
 *
 *     const point = message({ x: one(1, double), names: repeated(2, text) });
 *     point.decode(point.encode({ x: 1, names: ['a'] }));
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { HeedError } from './error.ts';

/** A kind of value: what is read, and what may be written. */
export interface Kind<T, Written = T> {
  /** How it is written. */
  readonly wire: WireType;
  /** Appends a value. */
  write(to: BinaryWriter, value: Written): void;
  /** Reads a value. */
  read(from: BinaryReader): T;
}

/** A field of a message. */
interface Field<T, Written = T> {
  readonly number: number;
  readonly empty: () => T;
  write(to: BinaryWriter, value: Written): void;
  /** Reads what follows a tag with this wire type, and adds it to the earlier value. */
  read(from: BinaryReader, wire: WireType, earlier: T): T;
}

// biome-ignore lint/suspicious/noExplicitAny: fields of any kinds of values
type Fields = Readonly<Record<string, Field<any, any>>>;

/** The values of a message's fields. */
export type MessageOf<F extends Fields> = { [K in keyof F]: ReturnType<F[K]['empty']> };

/** The values that may be written: fields that are left out are absent. */
type WrittenOf<F extends Fields> = { [K in keyof F]?: Parameters<F[K]['write']>[1] };

/** A message: a kind of value that can stand alone. */
export interface MessageKind<T, Written> extends Kind<T, Written> {
  /** The bytes of a value; fields that are left out are absent. */
  encode(value: Written): Uint8Array<ArrayBuffer>;
  /** The value of bytes. Absent fields are undefined, or empty. @throws HeedError if the bytes are damaged. */
  decode(bytes: Uint8Array): T;
}

/** Whole numbers from 0, enums too. */
export const int: Kind<number> = {
  wire: WireType.Varint,
  write: (to, value) => void to.uint64(value),
  read: (from) => Number(from.uint64()),
};

/** Whole numbers of either sign, within ±(2⁵³ − 1). */
export const signed: Kind<number> = {
  wire: WireType.Varint,
  write: (to, value) => void to.int64(value),
  read: (from) => Number(from.int64()),
};

/** True or false. */
export const bool: Kind<boolean> = {
  wire: WireType.Varint,
  write: (to, value) => void to.bool(value),
  read: (from) => from.bool(),
};

/** Floating-point numbers of four bytes. */
export const float: Kind<number> = {
  wire: WireType.Bit32,
  write: (to, value) => void to.float(value),
  read: (from) => from.float(),
};

/** Floating-point numbers of eight bytes. */
export const double: Kind<number> = {
  wire: WireType.Bit64,
  write: (to, value) => void to.double(value),
  read: (from) => from.double(),
};

/** Bytes; what is read is a copy. */
export const bytes: Kind<Uint8Array<ArrayBuffer>, Uint8Array> = {
  wire: WireType.LengthDelimited,
  write: (to, value) => void to.bytes(value),
  read: (from) => from.bytes().slice(),
};

/** Text. */
export const text: Kind<string> = {
  wire: WireType.LengthDelimited,
  write: (to, value) => void to.string(value),
  read: (from) => from.string(),
};

/** A message with these fields. */
export function message<const F extends Fields>(fields: F): MessageKind<MessageOf<F>, WrittenOf<F>> {
  const named = Object.entries(fields) as [keyof F & string, Fields[string]][];
  const byNumber = new Map(named.map(([name, field]) => [field.number, { name, field }]));
  const write = (to: BinaryWriter, value: WrittenOf<F>) => {
    for (const [name, field] of named) if (value[name] !== undefined) field.write(to, value[name]);
    return to;
  };
  const read = (from: BinaryReader) => {
    const value: Record<string, unknown> = Object.fromEntries(named.map(([name, field]) => [name, field.empty()]));
    while (from.pos < from.len) {
      const [number, wire] = from.tag();
      const known = byNumber.get(number);
      if (known) value[known.name] = known.field.read(from, wire, value[known.name]);
      else from.skip(wire, number);
    }
    return value as MessageOf<F>;
  };
  return {
    wire: WireType.LengthDelimited,
    encode: (value) => write(new BinaryWriter(), value).finish(),
    decode(all) {
      try {
        return read(new BinaryReader(all));
      } catch (cause) {
        throw new HeedError('The message is damaged: it does not follow Protocol Buffers.', { cause });
      }
    },
    write: (to, value) => void write(to.fork(), value).join(),
    read: (from) => read(new BinaryReader(from.bytes())),
  };
}

/** A field that is there or not. */
export const one = <T, Written>(number: number, kind: Kind<T, Written>): Field<T | undefined, Written | undefined> => ({
  number,
  empty: () => undefined,
  write: (to, value) => kind.write(to.tag(number, kind.wire), value as Written),
  read: (from, wire) => readAs(from, wire, kind),
});

/** A field that is repeated, each value with a tag of its own, as proto2 writes numbers too. */
export const unpacked = <T, Written>(number: number, kind: Kind<T, Written>): Field<T[], readonly Written[]> => ({
  ...repeated(number, kind),
  write(to, values) {
    for (const value of values) kind.write(to.tag(number, kind.wire), value);
  },
});

/** A field that is repeated. Numbers are packed into one length-delimited value. */
export const repeated = <T, Written>(number: number, kind: Kind<T, Written>): Field<T[], readonly Written[]> => ({
  number,
  empty: () => [],
  write(to, values) {
    if (kind.wire === WireType.LengthDelimited) {
      for (const value of values) kind.write(to.tag(number, kind.wire), value);
      return;
    }
    to.tag(number, WireType.LengthDelimited).fork();
    for (const value of values) kind.write(to, value);
    to.join();
  },
  read(from, wire, earlier) {
    if (wire === WireType.LengthDelimited && kind.wire !== wire) {
      const packed = new BinaryReader(from.bytes());
      while (packed.pos < packed.len) earlier.push(kind.read(packed));
    } else earlier.push(readAs(from, wire, kind));
    return earlier;
  },
});

/** A field of values by name. */
export function map<T, Written>(
  number: number,
  kind: Kind<T, Written>,
): Field<Record<string, T>, Readonly<Record<string, Written>>> {
  const entries = repeated(number, message({ key: one(1, text), value: one(2, kind) }));
  return {
    number,
    empty: () => ({}),
    write: (to, value) =>
      entries.write(
        to,
        Object.entries(value).map(([key, value]) => ({ key, value })),
      ),
    read(from, wire, earlier) {
      const [{ key = '', value }] = entries.read(from, wire, []);
      if (value === undefined) throw new Error(`the entry "${key}" has no value`);
      return { ...earlier, [key]: value };
    },
  };
}

function readAs<T, Written>(from: BinaryReader, wire: WireType, kind: Kind<T, Written>): T {
  if (wire !== kind.wire) throw new Error(`expected a value of the wire type ${kind.wire}, got ${wire}`);
  return kind.read(from);
}
