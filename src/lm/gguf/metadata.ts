/** The metadata of a GGUF file, read by key and held against the type that is expected. */
import type { HeedError } from '../../error.ts';
import { type GgufFile, ggufError, type MetadataValue } from './file.ts';

/** The fields of a config.json. */
export type Fields = Record<string, unknown>;

/** What is written as metadata: the type in the file and the value, by key. */
export type MetadataEntries = Record<string, MetadataEntry>;
/** A type of the file's and the value, or the values of a list. */
export type MetadataEntry =
  | readonly ['u32' | 'i32' | 'f32', number | readonly number[]]
  | readonly ['bool', boolean | readonly boolean[]]
  | readonly ['text', string | readonly string[]];

/** Reads metadata by key; within `general.architecture`'s own, "attention.head_count" is "llama.attention.head_count". */
export interface MetadataReader {
  /** The file. */
  file: GgufFile;
  /** Its path, for errors. */
  path: string;
  /** Value of "general.architecture". */
  architecture: string;
  /** A number of the architecture. @throws HeedError if it is missing and there is no fallback, or is no number. */
  number(key: string, fallback?: number): number;
  /** A number of the architecture, if it is there. */
  optional(key: string): number | undefined;
  /** A number that holds for all layers, though some files list it for each. */
  ofAllLayers(key: string, fallback?: number): number;
  /** A number of any key, if it is there. */
  numberAt(key: string): number | undefined;
  /** A text of any key, if it is there. */
  text(key: string): string | undefined;
  /** A boolean of any key, if it is there. */
  flag(key: string): boolean | undefined;
  /** A list of texts of any key, if it is there. */
  texts(key: string): readonly string[] | undefined;
  /** A list of numbers of any key, if it is there; booleans are 0 and 1. */
  numbers(key: string): ArrayLike<number> | undefined;
  /** A number of the architecture, or a list of numbers, if it is there. */
  numbersOrNumber(key: string): ArrayLike<number> | number | undefined;
  /** Whether there is a tensor. */
  has(tensor: string): boolean;
  /** An error of this file. */
  fail(message: string, hint?: string): HeedError;
}

/** @throws HeedError where the file names no architecture. */
export function metadataReader(file: GgufFile, path: string): MetadataReader {
  const { metadata } = file;
  const fail = ggufError(path);
  const typed = <T extends MetadataValue>(key: string, is: (value: MetadataValue) => value is T, what: string) => {
    const value = metadata.get(key);
    if (value === undefined || is(value)) return value;
    throw fail(`its "${key}" is ${typeof value === 'object' ? 'a list' : JSON.stringify(value)}, expected ${what}`);
  };
  const numberAt = (key: string) => {
    const value = typed(key, (v): v is number => typeof v === 'number', 'a number');
    return value === undefined ? undefined : shortest(value);
  };
  const text = (key: string) => typed(key, (v): v is string => typeof v === 'string', 'a text');
  const numbers = (key: string) => typed(key, isNumbers, 'a list of numbers');
  const architecture = text('general.architecture');
  if (architecture === undefined) {
    throw fail('it has no "general.architecture"', 'Is it the file of a language model?');
  }
  const keyOf = (key: string) => `${architecture}.${key}`;
  const missing = (key: string) => fail(`it has no "${keyOf(key)}"`, 'Is it the file of a language model?');
  return {
    file,
    path,
    architecture,
    fail,
    numberAt,
    text,
    numbers,
    optional: (key) => numberAt(keyOf(key)),
    number(key, fallback) {
      const found = numberAt(keyOf(key)) ?? fallback;
      if (found === undefined) throw missing(key);
      return found;
    },
    ofAllLayers(key, fallback) {
      const value = metadata.get(keyOf(key));
      if (!isNumbers(value)) return this.number(key, fallback);
      if (value.length === 0) throw missing(key);
      const other = Array.from(value).find((n) => n !== value[0]);
      if (other === undefined) return value[0];
      throw fail(
        `its layers differ in "${keyOf(key)}": ${value[0]} and ${other}`,
        'heed computes layers of one shape: choose another model.',
      );
    },
    numbersOrNumber: (key) => (isNumbers(metadata.get(keyOf(key))) ? numbers(keyOf(key)) : numberAt(keyOf(key))),
    flag: (key) => typed(key, (v): v is boolean => typeof v === 'boolean', 'true or false'),
    texts: (key) => typed(key, isTexts, 'a list of texts'),
    has: (tensor) => file.tensors.has(tensor),
  };
}

const isTexts = (value: MetadataValue): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');
const isNumbers = (value: MetadataValue | undefined): value is Exclude<MetadataValue, readonly string[]> & object =>
  ArrayBuffer.isView(value);

/** The shortest decimal number that is the same float32: 1e-5 for 0.000009999999747378752. Other numbers stay. */
export function shortest(number: number): number {
  if (Number.isInteger(number) || Math.fround(number) !== number) return number;
  for (let digits = 6; digits < 10; digits++) {
    const short = Number(number.toPrecision(digits));
    if (Math.fround(short) === number) return short;
  }
  return number;
}
