/** The modules of heed that a lesson may import in a page, each loaded when a lesson needs it. */
import type { Exports } from '../../src/course/load.ts';

const loads: Record<string, () => Promise<unknown>> = {
  'heed/engine': () => withEngine(import('heed/engine')),
  'heed/env': () => import('heed/env'),
  'heed/nn': () => withEngine(import('heed/nn')),
};

/** A module that computes, once the engine runs. */
async function withEngine(module: Promise<unknown>): Promise<unknown> {
  const { startEngine } = await import('heed/browser');
  await startEngine();
  return module;
}

/** Loads those of the modules that exist here. */
export async function loadModules(names: readonly string[]): Promise<Record<string, Exports>> {
  const known = names.filter((name) => Object.hasOwn(loads, name));
  return Object.fromEntries(await Promise.all(known.map(async (name) => [name, (await loads[name]()) as Exports])));
}
