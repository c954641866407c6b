/** JSON pointers, by which a schema refers to its parts. */

/** The value at the parts of a pointer, as a reference writes them between slashes; undefined if there is none. */
export function atPointer(root: unknown, path: readonly string[]): unknown {
  const keys = path.map((part) => decoded(part).replaceAll('~1', '/').replaceAll('~0', '~'));
  const step = (from: unknown, key: string) =>
    typeof from === 'object' && from !== null && Object.hasOwn(from, key) ? from[key as keyof object] : undefined;
  return keys.reduce<unknown>(step, root);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
