/** Nodes that JavaScript computes while the program runs on the CPU, in the thread that runs it. */
import { HeedError } from '../../error.ts';
import { emit, type Tensor } from '../graph.ts';

/**
 * Computes a node: `rows` is the product of all axes of the first input but the last, and the addresses are those of the
 * inputs and then of the result, float32 all of them. They are valid during the call.
 */
export type Routine = (rows: number, ...addresses: unknown[]) => void;

const waiting = new Map<number, Routine>();
let count = 0;

/** Most inputs that a routine can have. */
export const MOST_INPUTS = 3;

/**
 * The result of a routine: a tensor of the first input's shape, but with `width` as its last axis. It has no gradient.
 * The graph can be compiled once.
 */
export function call(routine: Routine, inputs: readonly Tensor[], width: number): Tensor {
  waiting.set(++count, routine);
  return emit(`Call${inputs.length}`, [...inputs], [...inputs[0].shape.slice(0, -1), width], {
    domain: 'heed',
    attributes: { routine: count, width },
  });
}

/** The routine of a node, which is given out once: when its program is compiled. */
export function takeRoutine(id: number): Routine {
  const routine = waiting.get(id);
  if (!routine) throw new HeedError('internal: a graph with routines was compiled twice');
  waiting.delete(id);
  return routine;
}
