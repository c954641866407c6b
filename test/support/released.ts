import { afterEach } from 'vitest';

/** What holds native memory: everything that is passed through is released after its test, the latest made first. */
export function releasedAfterwards(): <T extends { [Symbol.dispose](): void }>(part: T) => T {
  const made: { [Symbol.dispose](): void }[] = [];
  afterEach(() => {
    for (const part of made.splice(0).reverse()) part[Symbol.dispose]();
  });
  return (part) => {
    made.push(part);
    return part;
  };
}
