/** The order in which training sees its rows: one for each epoch, always the same for a seed. */
import { random } from '../random.ts';

/** A permutation of 0 … n−1. */
export function epochOrder(n: number, seed: number, epoch: number): Uint32Array {
  return random(seed, 'epoch', epoch).shuffle(Uint32Array.from({ length: n }, (_, i) => i));
}

/** The rows in a random order; the list itself is not changed. */
export function shuffled<T>(rows: readonly T[], seed: number): T[] {
  return Array.from(random(seed, 'shuffle').shuffle(Uint32Array.from(rows.keys())), (i) => rows[i]);
}
