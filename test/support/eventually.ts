/** Waiting in tests: for what has to become so, however slow the machine is. */
import { setTimeout as wait } from 'node:timers/promises';

/** Milliseconds between looks, and until a failure is final: a little less than a test may take. */
const [EVERY, LONGEST] = [5, 240_000];

/** Resolves to what `look` returns once it does not throw; rejects with its last failure. */
export async function eventually<T>(look: () => T | Promise<T>): Promise<T> {
  for (const last = performance.now() + LONGEST; ; await wait(EVERY)) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > last) throw error;
    }
  }
}
