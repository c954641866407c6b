/** A job's package: a zip with its order, the files that its settings name, and the run that it resumes. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { isAbsolute, join, normalize, relative, sep } from 'node:path';
import { type Zippable, zipSync } from 'fflate';
import { HeedError } from '../error.ts';
import { onDisk } from '../files.ts';

/** Files of a package by their paths in it: a path on this machine, or the content itself. */
export type PackageFiles = ReadonlyMap<string, { path: string } | { text: string }>;

/** The files that settings name by a path relative to `from`, and those below the folders that they name. */
export function filesNamedBy(settings: unknown, from: string): string[] {
  const named = new Set<string>();
  const walk = (value: unknown): void => {
    if (typeof value === 'string') for (const path of pathsIn(value, from)) named.add(path);
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(walk);
  };
  walk(settings);
  return [...named].flatMap((path) => filesBelow(join(from, path)).map((file) => relative(from, file)));
}

/** The path in a setting, or the folder of a pattern such as books/*.jsonl; none if nothing is there. */
function pathsIn(text: string, from: string): string[] {
  const folder = text.includes('*') ? text.slice(0, text.indexOf('*')).replace(/[^/\\]*$/, '') : text;
  // an absolute path is taken to be one of the nodes, such as that of a shared folder
  if (folder === '' || folder.includes('\0') || isAbsolute(folder) || !existsSync(join(from, folder))) return [];
  const path = normalize(folder).replace(/[/\\]$/, '');
  if (path === '.' || path.split(sep)[0] === '..') {
    throw new HeedError(`"${text}" is not below this folder, so it cannot be sent to the cluster.`, {
      hint: 'Start the command in a folder that contains it, or name an absolute path that all nodes share.',
    });
  }
  return [path];
}

/** A file, or all files below a folder. */
export const filesBelow = (path: string): string[] =>
  onDisk('read', path, () => {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  });

/** What names a package: a hash of its paths and contents. */
export function packageText(files: PackageFiles): string {
  const hash = createHash('sha256');
  for (const [name, file] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name}\0`).update(createHash('sha256').update(bytesOf(file)).digest());
  }
  return hash.digest('hex');
}

/** The zip file. */
export function zipped(files: PackageFiles): Uint8Array {
  const entries: Zippable = {};
  for (const [name, file] of files) entries[name.split(sep).join('/')] = bytesOf(file);
  return zipSync(entries, { level: 6, mtime: '1980-01-01T12:00:00' });
}

const bytesOf = (file: { path: string } | { text: string }): Uint8Array =>
  'text' in file ? Buffer.from(file.text) : onDisk('read', file.path, () => readFileSync(file.path));
