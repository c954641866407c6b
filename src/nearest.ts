/** What a misspelt name was meant to be. */

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/**
 * The names that one is most like: the same but for case and separators, or one in the other (batch_size, batch), or few
 * letters apart. None if it is like no name.
 */
export function nearestNames(name: string, names: readonly string[]): string[] {
  const wanted = plain(name);
  const same = names.filter((other) => plain(other) === wanted);
  if (same.length > 0) return same;
  const distances = new Map(names.map((other) => [other, editDistance(wanted, plain(other))]));
  const nearest = Math.min(...distances.values());
  const close = names.filter((other) => distances.get(other) === nearest);
  if (close.length > 0 && 3 * nearest <= Math.max(wanted.length, plain(close[0]).length)) return close;
  const within = names.filter((other) => plain(other).length > 3 && wanted.includes(plain(other)));
  const longest = Math.max(0, ...within.map((other) => other.length));
  return within.filter((other) => other.length === longest);
}

/** `did you mean "batch"?`, or undefined if a name is like no other. */
export function didYouMean(name: string, names: readonly string[]): string | undefined {
  const meant = nearestNames(name, names).slice(0, 3);
  return meant.length > 0 ? `did you mean ${meant.map((one) => `"${one}"`).join(' or ')}?` : undefined;
}

/** Levenshtein distance: insertions, deletions and replacements between two strings. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}
