/** The inputs and outputs of a program by name, dtype and shape, and whether values fit them. */
import { HeedError } from '../error.ts';
import { evaluateDim, formatShape, isSymbol, type Shape } from './dims.ts';
import type { DType } from './onnx.ts';
import type { Value } from './value.ts';

/** An input or output of a program. */
export interface Spec {
  /** Its name, by which a value is bound. */
  name: string;
  /** The type of its elements. */
  dtype: DType;
  /** Its dimensions: sizes and symbols. */
  shape: Shape;
}

/** "policy.0.weight float32[64, 4]": how errors name an input or output. */
export const describeSpec = ({ name, dtype, shape }: Spec): string => `${name} ${dtype}${formatShape(shape)}`;

/** Adds to `symbols` the sizes that a value's shape shows. The first value that shows a size decides. */
export function learnSymbols(spec: Spec, shape: readonly number[] | undefined, symbols: Record<string, number>): void {
  if (shape?.length !== spec.shape.length) return;
  spec.shape.forEach((dim, i) => {
    if (isSymbol(dim)) symbols[dim] ??= shape[i];
  });
}

/** Checks a value. @throws HeedError if it is missing, or does not fit an input or output of a program. */
export function checkValue(role: string, spec: Spec, value: Value | undefined, symbols: Record<string, number>): void {
  const expected = describeSpec(spec);
  if (!value) throw new HeedError(`no value for ${role} ${expected}`, { hint: `bind a value named "${spec.name}"` });
  const wrong = () =>
    new HeedError(`${role} ${expected} does not take a value ${value.dtype}${formatShape(value.shape)}`, {
      hint: Object.keys(symbols).length
        ? `with ${Object.entries(symbols)
            .map(([s, n]) => `${s} = ${n}`)
            .join(', ')}`
        : undefined,
    });
  if (value.dtype !== spec.dtype || value.shape.length !== spec.shape.length) throw wrong();
  if (spec.shape.some((dim, i) => evaluateDim(dim, symbols) !== value.shape[i])) throw wrong();
}

/** The shape of plain numbers for an input. Their count may decide the size of one symbol. */
export function inferShape(spec: Spec, count: number, symbols: Record<string, number>): number[] {
  const unknown = spec.shape.filter((d) => isSymbol(d) && symbols[d] === undefined);
  const sizes = (found: Record<string, number>) => spec.shape.map((d) => evaluateDim(d, found));
  const all = (dims: number[]) => dims.reduce((a, b) => a * b, 1);
  if (unknown.length === 1) {
    const size = count / all(sizes({ ...symbols, [unknown[0]]: 1 }));
    if (Number.isInteger(size)) symbols[unknown[0]] = size;
  }
  if (spec.shape.some((d) => isSymbol(d) && symbols[d] === undefined) || all(sizes(symbols)) !== count) {
    throw new HeedError(`input ${describeSpec(spec)} does not take ${count} numbers`, {
      hint: 'pass a Value, which has a shape',
    });
  }
  return sizes(symbols);
}
