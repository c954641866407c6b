/** Inputs as a caller declares them: `{ x: ['n', 4], action: { dtype: 'int32', shape: ['n'] } }`. */
import { HeedError } from '../error.ts';
import type { Shape } from './dims.ts';
import { type Graph, input, type Tensor } from './graph.ts';
import type { DType } from './onnx.ts';
import type { Value } from './value.ts';

/** An input: its shape, for float32, or its shape and dtype. Dimensions may be symbols. A `Value` declares its own. */
export type InputSpec = Shape | { readonly shape: Shape; readonly dtype?: DType };

/** Inputs by name. An undefined one is left out, for variants of a loss that do without it. */
export type InputSpecs = Readonly<Record<string, InputSpec | undefined>>;

/** Inputs whose names are not in the type, because the program found them while it was traced. */
export type AnyInputs = Readonly<Record<string, InputSpec>>;

type DTypeOf<S> = S extends Shape
  ? 'float32'
  : S extends { readonly dtype: infer D extends DType }
    ? D
    : 'dtype' extends keyof S
      ? DType
      : 'float32';

/** The traced tensors of declared inputs, by name. */
export type TensorsOf<I extends InputSpecs> = {
  readonly [K in keyof I]: Tensor | Extract<I[K], undefined>;
};

/** The values of declared inputs, by name, each with the dtype of its declaration. */
export type ValuesOf<I extends InputSpecs> = {
  readonly [K in keyof I]: Value<DTypeOf<NonNullable<I[K]>>> | Extract<I[K], undefined>;
};

/** Puts declared inputs into a graph. Reading another name from the result throws a HeedError. */
export function declareInputs<const I extends InputSpecs>(graph: Graph, inputs: I): TensorsOf<I> {
  const tensors: Record<string, Tensor | undefined> = {};
  for (const [name, spec] of Object.entries(inputs)) {
    tensors[name] = spec && ('shape' in spec ? input(graph, name, spec.shape, spec.dtype) : input(graph, name, spec));
  }
  return guardedInputs('input', tensors) as TensorsOf<I>;
}

/**
 * `things` by name, where reading a name that it lacks is an error that lists the names it has.
 *
 * @param kind - What one of them is, in a word for the error: "input".
 */
export function guardedInputs<T extends object>(kind: string, things: T): T {
  return new Proxy(things, {
    get(target, key) {
      // `then` and `toJSON` are what `await` and JSON.stringify look for in anything
      if (typeof key === 'string' && !(key in target) && key !== 'then' && key !== 'toJSON') {
        const names = Object.keys(target);
        throw new HeedError(`there is no ${kind} "${key}"`, {
          hint: names.length > 0 ? `there are ${names.join(', ')}` : `there are no ${kind}s at all`,
        });
      }
      return Reflect.get(target, key);
    },
  });
}
