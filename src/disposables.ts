/**
 * Things with native memory or processes of their own, disposed of together. Node has had `Symbol.dispose` since 20 but
 * has no `DisposableStack` yet: this is the part of it that heed needs.
 */
export class Disposables implements Disposable {
  #things: Disposable[] = [];

  /** Adds a thing, and returns it. Undefined is passed through. */
  use<T extends Disposable | undefined>(thing: T): T {
    if (thing) this.#things.push(thing);
    return thing;
  }

  /** Adds a function to be called at the end. */
  defer(end: () => void): void {
    this.#things.push({ [Symbol.dispose]: end });
  }

  /** Leaves a thing to the caller: it is not disposed of with the others. Returns it, even if it was never added. */
  release<T extends Disposable | undefined>(thing: T): T {
    this.#things = this.#things.filter((other) => other !== thing);
    return thing;
  }

  /** Hands everything to a new owner: disposing of this one then does nothing. */
  move(): Disposables {
    const moved = new Disposables();
    [moved.#things, this.#things] = [this.#things, []];
    return moved;
  }

  /** Disposes of everything, the last first. A second call does nothing. */
  readonly [Symbol.dispose] = (): void => {
    for (const thing of this.#things.splice(0).reverse()) thing[Symbol.dispose]();
  };
}

/** The result of `open`. If it fails, everything that it opened through `scope` is disposed of. */
export const opening = <T>(open: (scope: Disposables) => Promise<T>): Promise<T> => {
  const scope = new Disposables();
  return keptBy(scope, () => open(scope));
};

/** The result of `use`, which keeps a thing. If it fails, the thing is disposed of. */
export async function keptBy<T>(thing: Disposable | undefined, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    thing?.[Symbol.dispose]();
    throw error;
  }
}

/** The same at once. */
export function keptAtOnce<T>(thing: Disposable, use: () => T): T {
  try {
    return use();
  } catch (error) {
    thing[Symbol.dispose]();
    throw error;
  }
}
