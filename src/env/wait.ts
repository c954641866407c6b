/** Waiting for a number in shared memory that another thread changes. */

/**
 * How long to look before sleeping, ms: to be woken takes some 50 µs on a virtual machine, as long as the step of a small
 * world.
 */
const LOOK = 0.2;
const MOST_RESTS = 64;

/** A place in shared memory, and whether looking at it pays: where a machine has too few cores it only takes time from others. */
export interface Watched {
  readonly control: Int32Array;
  readonly place: number;
  /** How many more looks were in vain than were not. */
  vain: number;
  /** How many waits shall do without looking. */
  rests: number;
}

export const watched = (control: Int32Array, place: number): Watched => ({ control, place, vain: 0, rests: 0 });

/** Waits until the number there is not `known` any more; false where it stays that for `patience` ms. */
export function changed(it: Watched, known: number, patience = Infinity): boolean {
  const { control, place } = it;
  if (Atomics.load(control, place) !== known) return true;
  if (it.rests > 0) it.rests--;
  else if (look(control, place, known)) {
    it.vain = Math.max(0, it.vain - 1);
    return true;
  } else it.rests = Math.min(2 ** it.vain++, MOST_RESTS);
  // one may be woken late by a change that was seen long ago: what counts is the number
  while (Atomics.load(control, place) === known) {
    if (Atomics.wait(control, place, known, patience) === 'timed-out') break;
  }
  return Atomics.load(control, place) !== known;
}

function look(control: Int32Array, place: number, known: number): boolean {
  const end = performance.now() + LOOK;
  do {
    for (let i = 0; i < 64; i++) if (Atomics.load(control, place) !== known) return true;
  } while (performance.now() < end);
  return false;
}
