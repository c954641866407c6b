/** Routines: nodes that JavaScript computes. They wait here from the tracing of a graph until its program is compiled. */
import { HeedError } from '../../error.ts';

/**
 * Computes a node from float32 rows: `rows` is how many the input has, and the addresses are those of the input, of the
 * result and of what is read beside. They are valid during the call.
 */
export type Routine = (rows: number, from: unknown, to: unknown, beside: unknown) => void;

const waiting = new Map<number, Routine>();
let count = 0;

/** Keeps a routine for the node that calls it, by the id that it gives. */
export function keepRoutine(routine: Routine): number {
  waiting.set(++count, routine);
  return count;
}

/** The routine of a node, which is given out once: when its program is compiled. */
export function takeRoutine(id: number): Routine {
  const routine = waiting.get(id);
  if (!routine) throw new HeedError('internal: a graph with routines was compiled twice');
  waiting.delete(id);
  return routine;
}
