/**
 * Plugins: user modules that register losses, rewards, environments and the like by name when they are imported.
 * Threads and processes that heed starts import the same ones, through an inherited environment variable.
 */
import { delimiter, resolve } from 'node:path';
import { importFile } from './files.ts';

const VARIABLE = 'HEED_PLUGINS';
const loaded = new Set<string>();

/** The plugins of this process, as absolute paths, in the order in which they were named. */
export const plugins = (): string[] => (process.env[VARIABLE] ?? '').split(delimiter).filter(Boolean);

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
  if (all.length > 0) process.env[VARIABLE] = all.join(delimiter);
}
