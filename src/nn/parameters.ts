/** Parameters: named tensors that lie one after another in one flat array, so that an optimiser updates them in one sweep. */
import { allocate, Value } from '../engine/index.ts';
import { HeedError } from '../error.ts';
import type { Random } from '../random.ts';
import type { Initialise } from './initialise.ts';

export interface ParameterSpec {
  /** As in a checkpoint, such as "actor.0.weight". */
  name: string;
  shape: readonly number[];
  initialise: Initialise;
}

export interface Arena {
  readonly specs: readonly ParameterSpec[];
  /** All of it, padding (always 0) included. */
  readonly flat: Float32Array<ArrayBuffer>;
  /** Where each tensor lies in `flat`. */
  readonly ranges: readonly { start: number; end: number }[];
  /** Each tensor over its part of `flat`, by name. */
  readonly values: Readonly<Record<string, Value<'float32'>>>;
  release(): void;
}

const ALIGNMENT = 16; // floats: a cache line, and the widest vector register

/** Zeros laid out for the given tensors: for parameters, their gradients, or an optimiser's moments. */
export function createArena(specs: readonly ParameterSpec[]): Arena {
  let length = 0;
  const ranges = specs.map(({ shape }) => {
    const start = length;
    const end = start + shape.reduce((a, b) => a * b, 1);
    length = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    return { start, end };
  });
  const flat = allocate('float32', length);
  const values: Record<string, Value<'float32'>> = {};
  specs.forEach(({ name, shape }, i) => {
    if (name in values) throw new HeedError(`two parameters are named "${name}"`);
    values[name] = new Value('float32', shape, flat.subarray(ranges[i].start, ranges[i].end));
  });
  return {
    specs,
    flat,
    ranges,
    values,
    release: () => {
      for (const value of Object.values(values)) value.release();
    },
  };
}

/** Parameters with their initial values; each is drawn in the order given. */
export function createParameters(specs: readonly ParameterSpec[], random: Random): Arena {
  const arena = createArena(specs);
  for (const { name, shape, initialise } of specs) initialise(arena.values[name].data, shape, random);
  return arena;
}

/** The parameters as plain tensors for a checkpoint (views, not copies). */
export function exportParameters(
  arena: Arena,
  prefix = '',
): Record<string, { dtype: 'F32'; shape: number[]; data: Float32Array }> {
  return Object.fromEntries(
    arena.specs.map(({ name, shape }) => [
      prefix + name,
      { dtype: 'F32' as const, shape: [...shape], data: arena.values[name].data },
    ]),
  );
}

/** Copies tensors into the parameters. Each must be there, float32 and of the same shape. */
export function importParameters(
  arena: Arena,
  tensors: Readonly<Record<string, { shape: readonly number[]; data: unknown }>>,
  prefix = '',
): void {
  for (const { name, shape } of arena.specs) {
    const tensor = tensors[prefix + name];
    const hint = 'it was written by another version, or with other settings';
    if (!tensor) throw new HeedError(`the checkpoint has no tensor "${prefix}${name}"`, { hint });
    if (!(tensor.data instanceof Float32Array) || tensor.shape.join() !== shape.join()) {
      throw new HeedError(
        `tensor "${prefix}${name}" of the checkpoint is [${tensor.shape}], expected float32 [${shape}]`,
        { hint },
      );
    }
    arena.values[name].data.set(tensor.data);
  }
}
