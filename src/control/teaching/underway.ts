/** A piece of work that runs beside something else, one at a time. */

interface Underway<T> {
  /** The value passed to `begin`, for the work in progress. */
  readonly since: number | undefined;
  begin(since: number, work: Promise<T>): void;
  /**
   * The work's result, once. Undefined if the work has not ended, unless `wait` is set, or if there is none. Rejects if
   * the work does, or with the signal's reason if the signal aborts the wait; the work then continues.
   */
  take(wait: boolean, signal?: AbortSignal): Promise<T | undefined>;
  /** Drops the work and its result. */
  forget(): void;
}

/** Starts without work. */
export function createUnderway<T>(): Underway<T> {
  let begun: { since: number; over: Promise<void>; outcome?: () => T } | undefined;
  return {
    get since() {
      return begun?.since;
    },
    begin(since, work) {
      const one: NonNullable<typeof begun> = {
        since,
        over: work.then(
          (value) => {
            one.outcome = () => value;
          },
          (error) => {
            one.outcome = () => {
              throw error;
            };
          },
        ),
      };
      begun = one;
    },
    async take(wait, signal) {
      if (!begun) return undefined;
      if (wait) await untilAborted(begun.over, signal);
      const { outcome } = begun;
      if (!outcome) return undefined;
      begun = undefined;
      return outcome();
    },
    forget() {
      begun = undefined;
    },
  };
}

async function untilAborted(over: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  let abort = () => {};
  const aborted = new Promise<void>((resolve) => {
    abort = resolve;
    signal?.addEventListener('abort', abort);
  });
  await Promise.race([over, aborted]);
  signal?.removeEventListener('abort', abort);
  signal?.throwIfAborted();
}
