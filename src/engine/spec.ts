/** What a program takes and gives, by name, dtype and shape; whether a value fits. */
import { HeedError } from '../error.ts';
import { evaluateDim, formatShape, isSymbol, type Shape } from './dims.ts';
import type { DType } from './onnx.ts';
import type { Value } from './runtime.ts';

export interface Spec {
  name: string;
  dtype: DType;
  shape: Shape;
}

export const describeSpec = ({ name, dtype, shape }: Spec): string => `${name} ${dtype}${formatShape(shape)}`;

/** Sizes of symbols, from the first value that has them. */
export function learnSymbols(spec: Spec, shape: readonly number[] | undefined, symbols: Record<string, number>): void {
  if (shape?.length !== spec.shape.length) return;
  spec.shape.forEach((dim, i) => {
    if (isSymbol(dim)) symbols[dim] ??= shape[i];
  });
}

/** Checks a value against what a program wants. */
export function checkValue(role: string, spec: Spec, value: Value | undefined, symbols: Record<string, number>): void {
  const wanted = describeSpec(spec);
  if (!value) throw new HeedError(`no value for ${role} ${wanted}`, { hint: `bind a value named "${spec.name}"` });
  const wrong = () =>
    new HeedError(`${role} ${wanted} does not take a value ${value.dtype}${formatShape(value.shape)}`, {
      hint: Object.keys(symbols).length
        ? `with ${Object.entries(symbols)
            .map(([s, n]) => `${s} = ${n}`)
            .join(', ')}`
        : undefined,
    });
  if (value.dtype !== spec.dtype || value.shape.length !== spec.shape.length) throw wrong();
  if (spec.shape.some((dim, i) => evaluateDim(dim, symbols) !== value.shape[i])) throw wrong();
}

/** The shape of plain numbers for an input: one symbol at most may be worked out from their count. */
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
      hint: 'give a Value, which has a shape',
    });
  }
  return sizes(symbols);
}
