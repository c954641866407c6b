/** Calls that must not overlap. */

/** Makes calls of an asynchronous function wait for each other: each begins when those before it have ended. */
export function oneByOne<Arguments extends unknown[], Result>(
  call: (...inputs: Arguments) => Promise<Result>,
): (...inputs: Arguments) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (...inputs) => {
    const next = last.then(() => call(...inputs));
    last = next.catch(() => {}); // the caller gets the error
    return next;
  };
}
