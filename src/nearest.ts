/** Which names a misspelt one may mean. */

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/**
 * The names that one is most like: the same but for case and separators, or the fewest letters apart (none if half of them
 * or more differ), or one within the other (batch_size, batch). None if it is like no name.
 */
export function nearest(name: string, names: readonly string[]): string[] {
  const wanted = plain(name);
  const same = names.filter((other) => plain(other) === wanted);
  if (same.length > 0) return same;
  const distances = new Map(names.map((other) => [other, editDistance(wanted, plain(other))]));
  const least = Math.min(...distances.values());
  const close = names.filter(
    (other) => distances.get(other) === least && 2 * least < Math.max(wanted.length, plain(other).length),
  );
  if (close.length > 0) return close;
  const within = names.filter((other) => plain(other).length > 3 && wanted.includes(plain(other)));
  const longest = Math.max(0, ...within.map((other) => other.length));
  return within.filter((other) => other.length === longest);
}

/** `did you mean "batch"?`, or undefined if a name is like no other. */
export function didYouMean(name: string, names: readonly string[]): string | undefined {
  const meant = nearest(name, names).slice(0, 3);
  return meant.length > 0 ? `did you mean ${meant.map((one) => `"${one}"`).join(' or ')}?` : undefined;
}

/** Insertions, deletions, replacements, and swaps of neighbors that turn one string into another. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) next[j] = Math.min(next[j], before[j - 2] + 1);
    }
    [before, row] = [row, next];
  }
  return row[b.length];
}
