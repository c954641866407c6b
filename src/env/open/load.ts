/** Environments that run in this process, by name; loaded on demand. */

import { HeedError } from '../../error.ts';
import { nearest } from '../../nearest.ts';
import type { Environment } from '../environment.ts';
import { isGymnasiumName } from '../gymnasium/names.ts';
import { loadMujoco, mujocoIds } from '../mujoco/mujoco.ts';
import { environmentIds, makeEnvironment } from './make.ts';
import { checkedFactory, isFile, loadFile } from './own-file.ts';
import { environments } from './registered.ts';

/**
 * A function that makes the environment with a name, or in a file. @throws HeedError if there is none, or it cannot be
 * used.
 */
export async function loadEnvironment(name: string): Promise<() => Environment> {
  checkEnvironment(name);
  if (environments.has(name)) return checkedFactory(name, environments.get(name));
  if (isFile(name)) return loadFile(name);
  if (mujocoIds.includes(name)) return loadMujoco(name);
  return () => makeEnvironment(name);
}

/**
 * Checks that an environment has this name, without loading or starting anything.
 *
 * @throws HeedError with the nearest names if there is none.
 */
export function checkEnvironment(name: string): void {
  const names = [...environmentIds, ...mujocoIds, ...environments.names()];
  if (names.includes(name) || isGymnasiumName(name) || isFile(name)) return;
  const meant = nearest(name, names);
  throw new HeedError(`unknown environment: expected one of ${names.join(', ')}, got "${name}"`, {
    hint: `${meant.length > 0 ? `did you mean ${meant.join(' or ')}? ` : ''}Also accepted: gym:ID from your Python's Gymnasium, ALE/Pong-v5, and a file of your own, ./my-env.js. heed envs lists them all.`,
  });
}
