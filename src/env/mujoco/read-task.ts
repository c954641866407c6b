/** Reads a user's MuJoCo task: the export of a JavaScript file, with the files that its model names. */

import { HeedError, messageOf } from '../../error.ts';
import { basename, dirname, existsSync, isAbsolute, join, readFileSync } from '../../node.ts';
import type { MujocoTask } from './task.ts';

/**
 * The task that the file at `path` exports: a `MujocoTask`. Its `model` is MJCF or the path of an MJCF file relative to
 * `path`; its `id` defaults to the file's name; its `assets` are read. @throws HeedError if it is not a task, or a file
 * cannot be read.
 */
export function readMujocoTask(exported: unknown, path: string): MujocoTask {
  const task = (exported ?? {}) as MujocoTask;
  const { id = basename(path).replace(/\.\w+$/, ''), model, frameSkip = 1, observe, observationSize } = task;
  const wrong = (expected: string, got: unknown) =>
    new HeedError(`${path}: expected ${expected}, got ${typeof got === 'number' ? got : typeof got}`, {
      hint: 'see "Your own MJCF" in docs/reference/environments.md',
    });
  if (typeof model !== 'string')
    throw wrong('a default export with a `model`: MJCF, or the path of a file of it', model);
  if (typeof task.reward !== 'function') throw wrong('a function `reward(world)` beside `model`', task.reward);
  if (!(Number.isInteger(frameSkip) && frameSkip > 0)) throw wrong('a whole number above 0 as `frameSkip`', frameSkip);
  if (observe && !(Number.isInteger(observationSize) && observationSize! > 0)) {
    throw wrong('`observationSize`, how many numbers `observe` writes', observationSize);
  }
  if (model.trimStart().startsWith('<')) return { ...task, id, assets: readAssets(path, dirname(path), model) };
  const file = join(dirname(path), model);
  const text = read(path, file).toString();
  return { ...task, id, model: text, assets: readAssets(path, dirname(file), text) };
}

/** The files that MJCF in `folder` names, and those that included files name, by the names used there. */
function readAssets(path: string, folder: string, model: string): Record<string, Uint8Array> {
  const assets: Record<string, Uint8Array> = {};
  const directories = new Set(['']);
  const resolved = (name: string) => (isAbsolute(name) ? name : join(folder, name));
  const seek = (mjcf: string) => {
    for (const [, directory] of mjcf.matchAll(/\b(?:mesh|texture|asset)dir\s*=\s*["']([^"']*)["']/g)) {
      directories.add(directory);
    }
    for (const [, name] of mjcf.matchAll(/\bfile\w*\s*=\s*["']([^"']+)["']/g)) {
      const names = [...directories].map((directory) => (isAbsolute(name) ? name : join(directory, name)));
      const found = names.find((candidate) => existsSync(resolved(candidate))) ?? name;
      if (found in assets) continue;
      const bytes = read(path, resolved(found));
      assets[found] = bytes;
      if (/^\s*</.test(bytes.subarray(0, 100).toString())) seek(bytes.toString());
    }
  };
  seek(model);
  return assets;
}

function read(path: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new HeedError(`${path}: expected to read ${file}, which its model names, got: ${messageOf(error)}`, {
      hint: 'a path in a task or in MJCF counts from the folder of the file that names it',
      cause: error,
    });
  }
}
