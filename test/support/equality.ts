/**
 * Compares many numbers at once where tests expect equal ones: `toEqual` looks at each by itself, which for the weights of
 * a model takes longer than to train it for a step. What differs, or is not numbers, is left to `toEqual`, which says where.
 */
import { expect } from 'vitest';

const isTyped = (value: unknown): value is NodeJS.TypedArray =>
  ArrayBuffer.isView(value) && !(value instanceof DataView);
const bytesOf = ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray) => Buffer.from(buffer, byteOffset, byteLength);

function sameNumbers(a: unknown, b: unknown): true | undefined {
  if (isTyped(a) && isTyped(b)) {
    return (a.constructor === b.constructor && bytesOf(a).equals(bytesOf(b))) || undefined;
  }
  if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length || a.length === 0) return undefined;
  return a.every((x, i) => typeof x === 'number' && Object.is(x, b[i])) || undefined;
}

// files of tests share a process, where it stays
const added = Symbol.for('heed same numbers');
if (!(added in globalThis)) {
  Object.assign(globalThis, { [added]: true });
  expect.addEqualityTesters([sameNumbers]);
}
