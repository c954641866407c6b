/** Replaces several files of a folder that only make sense together. */

import { fileError, isSystemError, syncFolder, writeFileAtomic } from '../files.ts';
import { join, mkdirSync, readdirSync, renameSync, rmSync } from '../node.ts';

type FileContent = Parameters<typeof writeFileAtomic>[1];

/**
 * Writes files to a folder, and creates the folder if needed. They are written aside first, so that a full disk leaves
 * the old ones untouched. The last file, without which nobody reads the others, is then removed first and written last.
 * If the process is killed, the folder has the old files, the new ones, or lacks that last file.
 *
 * @param isStale Whether a file of the folder belonged to the old set only.
 */
export function replaceFiles(
  folder: string,
  files: readonly (readonly [name: string, content: FileContent])[],
  isStale: (name: string) => boolean,
): void {
  const names = files.map(([name]) => name);
  const last = names.at(-1)!;
  const aside = join(folder, `${last}.saving`);
  try {
    mkdirSync(folder, { recursive: true });
    rmSync(aside, { recursive: true, force: true }); // left by a killed process
    mkdirSync(aside);
    try {
      for (const [name, content] of files) writeFileAtomic(join(aside, name), content);
      rmSync(join(folder, last), { force: true });
      syncFolder(folder);
      for (const name of readdirSync(folder)) {
        if (isStale(name) && !names.includes(name)) rmSync(join(folder, name), { force: true });
      }
      for (const name of names) {
        if (name === last) syncFolder(folder);
        renameSync(join(aside, name), join(folder, name));
      }
      syncFolder(folder);
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
  } catch (error) {
    throw isSystemError(error) ? fileError(error, 'write', folder) : error;
  }
}
