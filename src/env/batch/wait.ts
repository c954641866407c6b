/** Waiting for what another thread or process does: looking for a moment, then sleeping. */

/**
 * How long to look before sleeping, ms: to be woken takes some 50 µs on a virtual machine, as long as the step of a
 * small world.
 */
const LOOK = 0.2;
const MOST_RESTS = 64;

/** Whether looking pays: where a machine has too few cores it only takes time from others. */
export interface Looks {
  /** How many more looks were in vain than were not. */
  vain: number;
  /** How many waits shall do without looking. */
  rests: number;
}

/** No looks so far. */
export const newLooks = (): Looks => ({ vain: 0, rests: 0 });

/** Asks `seen` again and again for up to `ms`, or not at all after looks in vain. Whether it was seen. */
export function look(looks: Looks, seen: () => boolean, ms = LOOK): boolean {
  if (looks.rests > 0) {
    looks.rests--;
    return false;
  }
  const end = performance.now() + ms;
  do {
    if (!seen()) continue;
    looks.vain = Math.max(0, looks.vain - 1);
    return true;
  } while (performance.now() < end);
  looks.rests = Math.min(2 ** looks.vain++, MOST_RESTS);
  return false;
}

/** A number in shared memory that another thread changes. */
export interface Watched extends Looks {
  readonly control: Int32Array;
  readonly place: number;
}

/** A number at `place` of the shared memory, not looked at yet. */
export const watched = (control: Int32Array, place: number): Watched => ({ control, place, ...newLooks() });

/** Waits until the number there is not `known` any more; false where it stays that for `patience` ms. */
export function changed(it: Watched, last: number, patience = Infinity): boolean {
  const { control, place } = it;
  const seen = () => {
    for (let i = 0; i < 64; i++) if (Atomics.load(control, place) !== last) return true;
    return false;
  };
  if (Atomics.load(control, place) !== last || look(it, seen)) return true;
  // one may be woken late by a change that was seen long ago: what counts is the number
  while (Atomics.load(control, place) === last) {
    if (Atomics.wait(control, place, last, patience) === 'timed-out') break;
  }
  return Atomics.load(control, place) !== last;
}
