/** The versions of heed's own file formats (docs/reference/formats.md). */
import { HeedError } from './error.ts';

/**
 * Throws unless a file is of the format that this version of heed reads.
 *
 * @param path - What the messages name: the file, or the folder that it describes.
 * @param what - What it is a file of, such as "a run".
 * @param found - The format that the file states.
 * @param expected - The format and its version, such as "heed run 1".
 * @param hint - What to pass instead where the file is something else.
 * @throws HeedError that says so if the file is of a newer version, or not of this format at all.
 */
export function checkFormat(path: string, what: string, found: unknown, expected: string, hint: string): void {
  if (found === expected) return;
  const [, name, version] = /^(.*) (\d+)$/.exec(expected)!;
  const [, foundName, foundVersion] = /^(.*) (\d+)$/.exec(String(found)) ?? [];
  const isNewer = foundName === name && Number(foundVersion) > Number(version);
  throw new HeedError(
    `"${path}" is ${isNewer ? `${what} of a newer version of heed` : `not ${what}`}: expected the format "${expected}", got "${found}".`,
    { hint: isNewer ? `Update heed, or open another one.` : hint },
  );
}
