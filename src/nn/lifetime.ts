/** Values, programs and bindings that live and end together. */
interface Releasable {
  release(): void;
}

/** `own` keeps a thing and gives it back; `release` releases all, the last first. */
export function lifetime(): { own<T extends Releasable>(thing: T): T } & Releasable {
  const things: Releasable[] = [];
  return {
    own(thing) {
      things.push(thing);
      return thing;
    },
    release() {
      for (const thing of things.splice(0).reverse()) thing.release();
    },
  };
}
