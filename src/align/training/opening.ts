/** Things opened one after another, of which later ones may fail. */

interface Releasable {
  release(): void;
}

interface Opened {
  /** Notes what was opened, and gives it back. */
  keep<T extends Releasable>(part: T): T;
  /** Releases all, the last one first. */
  release(): void;
}

/** What `open` makes; where that fails, all that it kept is released. */
export async function opening<T>(open: (opened: Opened) => Promise<T>): Promise<T> {
  const parts: Releasable[] = [];
  const opened: Opened = {
    keep(part) {
      parts.push(part);
      return part;
    },
    release() {
      for (const part of parts.reverse()) part.release();
    },
  };
  try {
    return await open(opened);
  } catch (error) {
    opened.release();
    throw error;
  }
}
