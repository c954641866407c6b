/**
 * Things with native memory or processes of their own, disposed together. Node has `Symbol.dispose` since 20 but no
 * `DisposableStack` yet: this is the part of it that heed needs.
 */
export class Disposables implements Disposable {
  #things: Disposable[] = [];

  /** Keeps a thing, and returns it. What is undefined is passed through. */
  use<T extends Disposable | undefined>(thing: T): T {
    if (thing) this.#things.push(thing);
    return thing;
  }

  /** Keeps a function to be called at the end. */
  defer(end: () => void): void {
    this.#things.push({ [Symbol.dispose]: end });
  }

  /** Leaves a thing to the caller: it is not disposed of with the others. Returns it, kept here or not. */
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

/** What `open` makes. Where it fails, all that it had opened through `own` is disposed of. */
export async function opening<T>(open: (own: Disposables) => Promise<T>): Promise<T> {
  const own = new Disposables();
  try {
    return await open(own);
  } catch (error) {
    own[Symbol.dispose]();
    throw error;
  }
}
