/** The order in which a training sees its rows: one for each epoch, the same whenever it is asked for. */
import { random } from '../random.ts';

/** A permutation of 0 … n−1. */
export function epochOrder(n: number, seed: number, epoch: number): Uint32Array {
  return random(seed, 'epoch', epoch).shuffle(Uint32Array.from({ length: n }, (_, i) => i));
}

/** The rows in a drawn order; the list itself stays as it is. */
export function shuffled<T>(rows: readonly T[], seed: number): T[] {
  return Array.from(random(seed, 'shuffle').shuffle(Uint32Array.from(rows.keys())), (i) => rows[i]);
}
