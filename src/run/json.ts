/** JSON that restores every number exactly, or refuses to write it. */

import { HeedError } from '../error.ts';

/** No state is this deep; anything deeper contains itself. */
const DEEPEST = 200;

/**
 * JSON text of plain data. −0, NaN and ±Infinity, which JSON lacks, become `{"$number": "NaN"}`. Undefined properties
 * are left out.
 *
 * @throws HeedError that names the place of anything that would not come back: functions, class instances, typed
 * arrays, bigints, undefined in a list.
 */
export function toJson(value: unknown, what: string): string {
  return JSON.stringify(encode(value, [what]));
}

/** The inverse of `toJson`. Throws what JSON.parse throws. */
export function fromJson(text: string): unknown {
  return decode(JSON.parse(text));
}

/** Parsed JSON with each `{"$number": …}` replaced by its number. */
export function decode(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(decode);
  if (Object.hasOwn(value, '$number')) return Number((value as { $number: unknown }).$number);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decode(inner)]));
}

/** Plain data in which JSON can hold every number. `path` is the place in the whole, for errors. */
export function encode(value: unknown, path: (string | number)[]): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (Object.is(value, -0)) return { $number: '-0' };
    return Number.isFinite(value) ? value : { $number: String(value) };
  }
  if (path.length > DEEPEST)
    throw new HeedError(`${place(path.slice(0, 8))}… is nested too deeply; does it contain itself?`);
  const encodeAt = (key: string | number, inner: unknown) => {
    path.push(key);
    const result = encode(inner, path);
    path.pop();
    return result;
  };
  if (Array.isArray(value)) return Array.from(value, (inner, i) => encodeAt(i, inner));
  if (typeof value === 'object' && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    if ('$number' in value) throw new HeedError(`${place(path)} may not have a property "$number": it marks numbers.`);
    const present = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return Object.fromEntries(present.map(([key, inner]) => [key, encodeAt(key, inner)]));
  }
  const got = typeof value === 'object' ? `a ${value.constructor.name}` : typeof value;
  throw new HeedError(`${place(path)} is ${got}, which JSON cannot hold; expected plain data.`, {
    hint: ArrayBuffer.isView(value)
      ? 'Save typed arrays among the tensors, or turn a short one into a list with Array.from.'
      : 'Turn it into numbers, strings, lists and plain objects.',
  });
}

const place = ([what, ...path]: (string | number)[]) =>
  what + path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('');
