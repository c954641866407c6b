/** Waits for another thread or process: polls for a moment, then sleeps. */

/**
 * How long to poll before sleeping, ms. Waking up takes some 50 µs on a virtual machine, as long as a step of a small
 * world.
 */
const LOOK = 0.2;
const MOST_RESTS = 64;

/** Whether polling pays off: with too few cores it only takes time from others. */
export interface Looks {
  /** Polls that were in vain, minus those that were not. */
  vain: number;
  /** Waits that will sleep without polling. */
  rests: number;
}

/** A state without polls. */
export const newLooks = (): Looks => ({ vain: 0, rests: 0 });

/** Polls `seen` for up to `ms`, or not at all after polls in vain. Returns whether it was seen. */
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
  /** How long to poll, ms. */
  readonly polling: number;
}

/** Watches the number at `place` of the shared memory, and polls for up to `polling` ms before it sleeps. */
export const watchedControl = (control: Int32Array, place: number, polling = LOOK): Watched => ({
  control,
  place,
  polling,
  ...newLooks(),
});

/** Waits until the number is no longer `last`; false if it stays the same for `patience` ms. */
export function changed(it: Watched, last: number, patience = Infinity): boolean {
  const { control, place } = it;
  const seen = () => {
    for (let i = 0; i < 64; i++) if (Atomics.load(control, place) !== last) return true;
    return false;
  };
  if (Atomics.load(control, place) !== last || look(it, seen, it.polling)) return true;
  // a wake-up may be late, for a change seen long ago: only the number counts
  while (Atomics.load(control, place) === last) {
    if (Atomics.wait(control, place, last, patience) === 'timed-out') break;
  }
  return Atomics.load(control, place) !== last;
}
