/** The modules of heed and of Node that a lesson or a program of the course may import, loaded on demand. */
import type { Exports } from './load.ts';

const loads: Record<string, () => Promise<unknown>> = {
  'heed/engine': () => import('../engine/index.ts'),
  'heed/env': () => import('../env/index.ts'),
  'heed/nn': () => import('../nn/index.ts'),
  'node:util': () => import('node:util'),
};

/** Loads those of the names that it knows. */
export async function loadModules(names: readonly string[]): Promise<Record<string, Exports>> {
  const known = names.filter((name) => Object.hasOwn(loads, name));
  return Object.fromEntries(await Promise.all(known.map(async (name) => [name, (await loads[name]()) as Exports])));
}
