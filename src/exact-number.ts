/**
 * JSON with its numbers as they are written. 1234567890123456789 and 10.0 are not what `JSON.parse` and `JSON.stringify`
 * make of them: an identifier in a tool's arguments would change on its way through.
 */

/** A number that a double would write differently. */
export class ExactNumber {
  /** The number as JSON has it. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  valueOf(): number {
    return Number(this.text);
  }

  toString(): string {
    return this.text;
  }

  /** For those who do not know it: the nearest number. */
  toJSON(): number {
    return this.valueOf();
  }
}

const MARK = '\ufdd5'; // a noncharacter, which no text should have
const MARKED = new RegExp(`"${MARK}([^"${MARK}]*)"`, 'g');
/** Texts, which are skipped, and numbers that may not survive: of 16 digits, with a point or an exponent, or −0. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const SUSPECT = /\d{16}|\d[.eE]|-0/;

/** Whether JSON may have such a number: a quick look that is wrong only about texts. */
export const mayHaveExact = (json: string): boolean => SUSPECT.test(json);

/** The value of JSON, with an `ExactNumber` for each that a double would write differently. Throws as `JSON.parse` does. */
export function parseExact(json: string): unknown {
  const value: unknown = JSON.parse(json);
  if (!mayHaveExact(json) || json.includes(MARK)) return value;
  let changed = false;
  const marked = json.replace(TOKENS, (token) => {
    if (token.startsWith('"') || String(Number(token)) === token) return token;
    changed = true;
    return `"${MARK}${token}"`;
  });
  if (!changed) return value;
  return JSON.parse(marked, (_, inner: unknown) =>
    typeof inner === 'string' && inner.startsWith(MARK) ? new ExactNumber(inner.slice(1)) : inner,
  );
}

/** JSON of a value, with each `ExactNumber` as it was written. `replace` changes values as in `JSON.stringify`. */
export function stringifyExact(value: unknown, replace: (value: unknown) => unknown = (inner) => inner): string {
  let exact = false;
  const json = JSON.stringify(value, function (this: Record<string, unknown>, key, inner: unknown) {
    const original = this[key]; // before its toJSON
    if (!(original instanceof ExactNumber)) return replace(inner);
    exact = true;
    return MARK + original.text;
  });
  return exact ? json.replace(MARKED, '$1') : json;
}

/** A copy in which each `ExactNumber` that `keep` does not want is the nearest number. */
export const roundExact = (value: unknown, keep: (number: ExactNumber) => boolean): unknown =>
  mapLeaves(value, (leaf) => (leaf instanceof ExactNumber && !keep(leaf) ? leaf.valueOf() : leaf));

/** A copy of plain data in which each text, number or other value that holds none is changed. */
export function mapLeaves<T>(value: T, change: (leaf: unknown) => unknown): T {
  if (Array.isArray(value)) return value.map((inner) => mapLeaves(inner, change)) as T;
  const isLeaf = typeof value !== 'object' || value === null || value instanceof ExactNumber;
  if (isLeaf || ArrayBuffer.isView(value)) return change(value) as T;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapLeaves(inner, change)])) as T;
}
