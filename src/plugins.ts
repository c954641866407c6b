/**
 * Plugins: user modules that register losses, rewards, environments and the like by name when they are imported.
 * Threads and processes that heed starts import the same ones, through an inherited environment variable.
 */

import { importFile } from './files.ts';
import { env, resolve } from './node.ts';

const VARIABLE = 'HEED_PLUGINS';
const DELIMITER = '\n'; // of paths, which may have colons
const loaded = new Set<string>();

/** The plugins of this process, as absolute paths, in the order in which they were named. */
export const plugins = (): string[] => (env[VARIABLE] ?? '').split(DELIMITER).filter(Boolean);

/**
 * Imports modules that register things by name, each once: these, and those of the parent process.
 *
 * @param paths - .js, .mjs, .ts or .mts files; relative ones are resolved from the working directory.
 * @throws HeedError if one cannot be imported.
 */
export async function loadPlugins(paths: readonly string[] = []): Promise<void> {
  const all = [...new Set([...plugins(), ...paths.map((path) => resolve(path))])];
  for (const path of all) {
    if (loaded.has(path)) continue;
    await importFile(path, 'The plugin');
    loaded.add(path);
  }
  if (all.length > 0) process.env[VARIABLE] = all.join(DELIMITER);
}
