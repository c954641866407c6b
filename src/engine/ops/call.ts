/** Nodes that JavaScript computes while the program runs on the CPU, in the thread that runs it. */
import { emit, type Tensor } from '../graph.ts';
import { keepRoutine, type Routine } from '../onednn/routines.ts';

/**
 * The result of a routine for each row of x [..., in]: [..., width]. It has no gradient. The graph can be compiled once,
 * and runs in Node on the CPU alone.
 *
 * @param beside - An int32 tensor whose address the routine gets: of an input, that of the bound value's memory.
 */
export function call(routine: Routine, x: Tensor, width: number, beside?: Tensor): Tensor {
  const attributes = { routine: keepRoutine(routine), width };
  const shape = [...x.shape.slice(0, -1), width];
  if (!beside) return emit('Call', [x], shape, { domain: 'heed', attributes });
  return emit('CallBeside', [x, beside], shape, { domain: 'heed', attributes });
}
