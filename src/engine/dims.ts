/**
 * Dimensions of traced tensors: a number, or a polynomial of symbols with integer coefficients, kept as a canonical
 * string ("batch", "2*batch*time", "past+time", "time+-1"), so that equal dimensions are equal strings.
 */
import { HeedError } from '../error.ts';

/** A dimension: its size, or a symbol or polynomial of symbols whose size is set later. */
export type Dim = number | string;

/** The dimensions of a tensor, the outermost first. `[]` is a scalar. */
export type Shape = readonly Dim[];

/** Whether a dimension is a single symbol rather than a sum or product. */
export const isSymbol = (dim: Dim): dim is string => typeof dim === 'string' && /^[A-Za-z_]\w*$/.test(dim);

/** monomial ("a*b", '' for the constant) → coefficient */
type Polynomial = Map<string, number>;

function parse(dim: Dim): Polynomial {
  if (typeof dim === 'number') return new Map([['', dim]]);
  const terms: Polynomial = new Map();
  for (const term of dim.split('+')) {
    let coefficient = 1;
    const symbols: string[] = [];
    for (const factor of term.split('*')) {
      const text = factor.trim();
      if (/^-?\d+$/.test(text)) coefficient *= Number(text);
      else if (/^[A-Za-z_]\w*$/.test(text)) symbols.push(text);
      else throw new HeedError(`"${dim}" is not a dimension`, { hint: 'use a whole number or a name such as "batch"' });
    }
    const key = symbols.sort().join('*');
    terms.set(key, (terms.get(key) ?? 0) + coefficient);
  }
  return terms;
}

function format(terms: Polynomial): Dim {
  const nonzero = [...terms]
    .filter(([, c]) => c !== 0)
    .sort(([a], [b]) => Number(a === '') - Number(b === '') || (a < b ? -1 : 1));
  if (nonzero.length === 0) return 0;
  if (nonzero.length === 1 && nonzero[0][0] === '') return nonzero[0][1];
  const text = ([key, c]: [string, number]) => (c === 1 ? key : `${c}*${key}`);
  return nonzero.map(([key, c]) => (key === '' ? `${c}` : text([key, c]))).join('+');
}

/** a + b. */
export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  const sum = parse(a);
  for (const [key, c] of parse(b)) sum.set(key, (sum.get(key) ?? 0) + c);
  return format(sum);
}

/** a · b. */
export function multiplyDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  const product: Polynomial = new Map();
  for (const [ka, ca] of parse(a)) {
    for (const [kb, cb] of parse(b)) {
      const key = [...ka.split('*'), ...kb.split('*')].filter(Boolean).sort().join('*');
      product.set(key, (product.get(key) ?? 0) + ca * cb);
    }
  }
  return format(product);
}

/** a − b. */
export const subtractDims = (a: Dim, b: Dim): Dim => addDims(a, multiplyDims(-1, b));

/** a ÷ b if b is one term that divides every term of a; undefined otherwise. */
export function divideDims(a: Dim, b: Dim): Dim | undefined {
  const divisor = [...parse(b)];
  if (divisor.length !== 1 || divisor[0][1] === 0) return undefined;
  const [symbols, coefficient] = divisor[0];
  const quotient: Polynomial = new Map();
  for (const [key, c] of parse(a)) {
    if (c % coefficient !== 0) return undefined;
    const left = key.split('*').filter(Boolean);
    for (const symbol of symbols.split('*').filter(Boolean)) {
      const at = left.indexOf(symbol);
      if (at < 0) return undefined;
      left.splice(at, 1);
    }
    quotient.set(left.join('*'), c / coefficient);
  }
  return format(quotient);
}

/** How many elements a shape has. */
export const product = (dims: Shape): Dim => dims.reduce(multiplyDims, 1);

/** Whether two shapes are equal. A symbol equals only itself. */
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

/** "[batch, 4]". */
export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/** The terms of a dimension, for building its value at run time: [symbols, coefficient] each. */
export const termsOf = (dim: Dim): [string[], number][] =>
  [...parse(dim)].map(([key, c]) => [key.split('*').filter(Boolean), c]);

/** The dimension with the symbols in `sizes` replaced by their sizes. */
export function substitute(dim: Dim, sizes: Readonly<Record<string, number>>): Dim {
  if (typeof dim === 'number') return dim;
  const sizeOf = (symbol: string): Dim => (Object.hasOwn(sizes, symbol) ? sizes[symbol] : symbol);
  return termsOf(dim)
    .map(([symbols, coefficient]) => symbols.map(sizeOf).reduce(multiplyDims, coefficient))
    .reduce(addDims, 0);
}

/** The size of a dimension. @throws HeedError if `symbols` lacks the size of one of its symbols. */
export function evaluateDim(dim: Dim, symbols: Readonly<Record<string, number>>): number {
  if (typeof dim === 'number') return dim;
  let total = 0;
  for (const [names, coefficient] of termsOf(dim)) {
    total += names.reduce((value, name) => {
      if (symbols[name] === undefined) {
        throw new HeedError(`the size of dimension "${name}" is unknown`, { hint: `pass { dims: { ${name}: 32 } }` });
      }
      return value * symbols[name];
    }, coefficient);
  }
  return total;
}

/** NumPy's broadcasting; a symbol equals only itself. Undefined if the shapes do not fit. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const out: Dim[] = [];
  for (let i = Math.max(a.length, b.length); i > 0; i--) {
    const x = a[a.length - i] ?? 1;
    const y = b[b.length - i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(x === 1 ? y : x);
  }
  return out;
}
