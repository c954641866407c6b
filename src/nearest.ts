/** Which names a misspelt one may mean. */

/**
 * The names at the least distance from `name`, whatever the case of letters; none if half of the letters or more differ.
 */
export function nearest(name: string, names: readonly string[]): string[] {
  const distances = new Map(names.map((other) => [other, editDistance(name.toLowerCase(), other.toLowerCase())]));
  const least = Math.min(...distances.values());
  return [...distances.keys()].filter(
    (other) => distances.get(other) === least && 2 * least < Math.max(name.length, other.length),
  );
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
