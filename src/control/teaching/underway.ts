/** One piece of work at a time that goes on while something else is done. */

interface Underway<T> {
  /** What `begin` was told, of work that nothing came of yet. */
  readonly since: number | undefined;
  begin(since: number, work: Promise<T>): void;
  /**
   * What came of it, once. Undefined where it goes on, unless it is waited for, or none was begun. Rejects as the work
   * does; with the signal's reason where it aborts the waiting, and then the work goes on.
   */
  take(wait: boolean, signal?: AbortSignal): Promise<T | undefined>;
  /** Nothing that comes of it is wanted. */
  forget(): void;
}

/** Starts with no work. */
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
