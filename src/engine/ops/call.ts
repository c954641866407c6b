/** Nodes that JavaScript computes while the program runs on the CPU, in the thread that runs it. */
import { HeedError } from '../../error.ts';
import { emit, type Tensor } from '../graph.ts';

/**
 * Computes a node from float32 rows: `rows` is how many the input has, and the addresses are those of the input, of the
 * result and of what is read beside. They are valid during the call.
 */
export type Routine = (rows: number, from: unknown, to: unknown, beside: unknown) => void;

const waiting = new Map<number, Routine>();
let count = 0;

/**
 * The result of a routine for each row of x [..., in]: [..., width]. It has no gradient. The graph can be compiled once,
 * and runs in Node on the CPU alone.
 *
 * @param beside - An int32 tensor whose address the routine gets: of an input, that of the bound value's memory.
 */
export function call(routine: Routine, x: Tensor, width: number, beside?: Tensor): Tensor {
  waiting.set(++count, routine);
  const attributes = { routine: count, width };
  const shape = [...x.shape.slice(0, -1), width];
  if (!beside) return emit('Call', [x], shape, { domain: 'heed', attributes });
  return emit('CallBeside', [x, beside], shape, { domain: 'heed', attributes });
}

/** The routine of a node, which is given out once: when its program is compiled. */
export function takeRoutine(id: number): Routine {
  const routine = waiting.get(id);
  if (!routine) throw new HeedError('internal: a graph with routines was compiled twice');
  waiting.delete(id);
  return routine;
}
